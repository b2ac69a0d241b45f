import { lazy, Suspense } from 'react';
import type { Artifact, Job, Point } from '../../api/types.js';
import { isOver } from '../../format/job.js';
import { bytes } from '../../format/numbers.js';
import { Icon } from '../../ui/icon.js';
import { Loading } from '../../ui/loading.js';
import { Numbers } from './numbers.js';
import { Stats } from './stats.js';
import { VerdictCard } from './verdict.js';

const Curve = lazy(async () => ({ default: (await import('./curve.js')).Curve }));

function Downloads({ artifacts }: { artifacts: Artifact[] }) {
  return (
    <section className="card" aria-labelledby="downloads">
      <div className="card-head">
        <h2 id="downloads">Downloads</h2>
      </div>
      <ul className="downloads">
        {artifacts.map(({ name, url, bytes: size, sha256 }) => (
          <li key={name}>
            <a href={url} download={name}>
              <Icon name="file" /> {name}
            </a>
            <span className="muted number">{bytes(size)}</span>
            <span className="muted small mono truncate" title={sha256}>
              sha256 {sha256.slice(0, 12)}…
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function NotYet({ job, point }: { job: Job; point: Point | undefined }) {
  const error = point?.error;
  if (error !== null && error !== undefined && job.status !== 'failed')
    return (
      <div className="notice notice-warn">
        <Icon name="alert" />
        <div>
          <p className="notice-title">This target was not reached</p>
          <p>{error.detail}</p>
        </div>
      </div>
    );
  return (
    <div className="card empty">
      <h2>{isOver(job) ? 'Nothing was measured' : 'The numbers come when the job has ended'}</h2>
      <p>
        {isOver(job)
          ? 'The job ended before the compressed network was measured.'
          : 'Layers that are done show on the tab Layers at once.'}
      </p>
    </div>
  );
}

export function Overview({ job, point }: { job: Job; point: number }) {
  const shown = job.points.find((one) => one.point === point);
  const metrics = shown?.metrics ?? null;
  return (
    <div className="stack">
      {metrics === null ? <NotYet job={job} point={shown} /> : <Stats metrics={metrics} />}
      {job.points.filter((one) => one.metrics !== null).length > 1 ? (
        <Suspense fallback={<Loading what="curve" />}>
          <Curve job={job} point={point} />
        </Suspense>
      ) : null}
      {metrics === null ? null : (
        <div className="overview">
          <Numbers metrics={metrics} />
          <div className="stack">
            {shown?.verdict ? <VerdictCard verdict={shown.verdict} /> : null}
            {job.artifacts.length > 0 ? <Downloads artifacts={job.artifacts} /> : null}
          </div>
        </div>
      )}
    </div>
  );
}
