import type { JobRow } from '../../api/types.js';
import { PHASE_NAME, REASON, startInWords } from '../../format/job.js';
import { percent, points, ratio } from '../../format/numbers.js';
import { duration } from '../../format/time.js';

function Progress({ job }: { job: JobRow }) {
  const { fraction, layers_done, layers_total, eta_seconds } = job.progress;
  const share = percent(fraction, 0);
  return (
    <div className="job-progress">
      <div
        className="bar"
        role="progressbar"
        aria-label="Progress"
        aria-valuenow={Math.round(fraction * 100)}
        aria-valuemin={0}
        aria-valuemax={100}
      >
        <span style={{ width: `${fraction * 100}%` }} />
      </div>
      <span className="small muted truncate">
        {share} · {PHASE_NAME[job.phase]}
        {job.phase === 'layers' && layers_total > 0 ? ` ${layers_done}/${layers_total}` : ''}
        {eta_seconds === null ? '' : ` · ${duration(eta_seconds)} left`}
      </span>
    </div>
  );
}

function Result({ job }: { job: JobRow }) {
  const { result } = job;
  if (result === null) return null;
  const slower = result.speedup < 1;
  return (
    <span className="result">
      <span>
        <b>{ratio(result.parameter_ratio)}</b> <span className="muted">smaller</span>
      </span>
      <span>
        <b>{ratio(slower ? 1 / result.speedup : result.speedup)}</b>{' '}
        <span className="muted">{slower ? 'slower' : 'faster'}</span>
      </span>
      {result.accuracy_drop === null ? (
        <span>
          <b>{percent(result.top1_agreement, 1)}</b> <span className="muted">agree</span>
        </span>
      ) : (
        <span title="change of the accuracy">
          <b>{points(-result.accuracy_drop)}</b>
        </span>
      )}
    </span>
  );
}

/** The one thing that is worth knowing of a job now. */
export function Outcome({ job }: { job: JobRow }) {
  if (job.status === 'running' || job.status === 'canceling') return <Progress job={job} />;
  if (job.status === 'queued')
    return job.queue === null ? null : (
      <span className="muted" title={REASON[job.queue.reason]}>
        No. {job.queue.position} ·{' '}
        {job.queue.expected_start_seconds === null ? REASON[job.queue.reason] : startInWords(job.queue)}
      </span>
    );
  if (job.status === 'failed' && job.error !== null)
    return (
      <span className="bad truncate block" title={job.error.detail}>
        {job.error.detail}
      </span>
    );
  return <Result job={job} />;
}
