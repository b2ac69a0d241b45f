import type { Job } from '../../api/types.js';
import { PHASE_NAME, REASON, startInWords } from '../../format/job.js';
import { percent } from '../../format/numbers.js';
import { duration } from '../../format/time.js';
import { Icon } from '../../ui/icon.js';

const PHASES = ['inspect', 'plan', 'layers', 'assemble', 'evaluate'] as const;

const NEXT: Record<string, string> = {
  input: 'The cause is in what was sent. Change it and submit again.',
  infrastructure: 'The cause is a machine of the service. Retry: finished layers are kept.',
  bug: 'This is a fault of the service. Retry once; when it happens again, report the id of the job.',
};

function Steps({ job }: { job: Job }) {
  const at = PHASES.indexOf(job.phase);
  return (
    <ol className="steps" aria-label="Steps">
      {PHASES.map((phase, i) => (
        <li
          key={phase}
          className={i < at ? 'step-done' : i === at ? 'step-now' : ''}
          {...(i === at ? { 'aria-current': 'step' as const } : {})}
        >
          {PHASE_NAME[phase]}
          {phase === 'layers' && job.progress.layers_total > 0
            ? ` ${job.progress.layers_done}/${job.progress.layers_total}`
            : ''}
        </li>
      ))}
    </ol>
  );
}

/** What happens now: the place in the queue, the progress, or why it failed and what to do. */
export function Live({ job }: { job: Job }) {
  if (job.status === 'queued')
    return (
      <div className="notice" role="status">
        <Icon name="clock" />
        <div>
          <p className="notice-title">
            {job.queue === null ? 'In the queue' : `No. ${job.queue.position} in the queue, ${startInWords(job.queue)}`}
          </p>
          {job.queue === null ? null : (
            <p>
              The job{' '}
              {REASON[job.queue.reason]
                .replace(/^jobs/, 'waits: jobs')
                .replace(/^the team/, 'waits: the team')
                .replace(/^no live/, 'waits: no live')}
              .
            </p>
          )}
        </div>
      </div>
    );
  if (job.status === 'running' || job.status === 'canceling')
    return (
      <div className="card card-body live" role="status" aria-live="off">
        <div className="live-line">
          <strong>{percent(job.progress.fraction, 0)}</strong>
          <span className="muted">
            {job.progress.eta_seconds === null
              ? 'time left not known yet'
              : `about ${duration(job.progress.eta_seconds)} left`}
          </span>
        </div>
        <div
          className="bar"
          role="progressbar"
          aria-label="Progress of the job"
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.round(job.progress.fraction * 100)}
        >
          <span style={{ width: `${job.progress.fraction * 100}%` }} />
        </div>
        <Steps job={job} />
      </div>
    );
  if (job.status === 'failed' && job.error !== null)
    return (
      <div className="notice notice-bad" role="alert">
        <Icon name="alert" />
        <div>
          <p className="notice-title">{job.error.detail}</p>
          <p>
            <code>{job.error.code}</code>
            {job.error.layer === null ? '' : ` in layer ${job.error.layer}`}, while{' '}
            {PHASE_NAME[job.phase].toLowerCase()}. {NEXT[job.error.origin]}
          </p>
        </div>
      </div>
    );
  return null;
}
