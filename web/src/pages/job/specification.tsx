import type { Job } from '../../api/types.js';
import { bytes } from '../../format/numbers.js';
import { moment } from '../../format/time.js';

/** What was asked for, with every default filled in, and the files that it was asked of. */
export function Specification({ job }: { job: Job }) {
  const files = [
    ['Model', job.inputs.model],
    ['Calibration', job.inputs.calibration],
    ['Evaluation', job.inputs.evaluation],
  ] as const;
  return (
    <div className="overview">
      <section className="card" aria-labelledby="spec">
        <div className="card-head">
          <h2 id="spec">Specification</h2>
          <span className="muted small">as it was resolved; it can be sent again as it is</span>
        </div>
        <pre className="code" tabIndex={0}>
          {JSON.stringify(job.spec, null, 2)}
        </pre>
      </section>
      <section className="card" aria-labelledby="files">
        <div className="card-head">
          <h2 id="files">Files</h2>
        </div>
        <ul className="downloads">
          {files.map(([name, file]) => (
            <li key={name}>
              <span>{name}</span>
              {file === null ? (
                <span className="muted">none</span>
              ) : (
                <>
                  <span className="mono truncate">{file.filename}</span>
                  <span className="muted">{bytes(file.bytes)}</span>
                </>
              )}
            </li>
          ))}
        </ul>
        <div className="card-foot small muted">
          <p>
            Submitted {moment(job.created_at)}, started {moment(job.started_at)}, ended {moment(job.finished_at)}.
          </p>
        </div>
      </section>
    </div>
  );
}
