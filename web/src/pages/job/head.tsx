import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useNavigate } from 'react-router';
import { call } from '../../api/call.js';
import type { Job } from '../../api/types.js';
import { useCan } from '../../app/session.js';
import { isOver, jobName, targetsInWords, targetsOf, tookSeconds } from '../../format/job.js';
import { ago, duration, moment } from '../../format/time.js';
import { Confirm } from '../../ui/dialog.js';
import { Failure } from '../../ui/failure.js';
import { Icon } from '../../ui/icon.js';
import { useNow } from '../../ui/now.js';
import { Status } from '../../ui/status.js';

function Buttons({ job }: { job: Job }) {
  const can = useCan();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [removing, setRemoving] = useState(false);
  const refresh = () => client.invalidateQueries({ queryKey: ['job', job.id] });
  const cancel = useMutation({ mutationFn: () => call<Job>('POST', `/jobs/${job.id}/cancel`), onSuccess: refresh });
  const retry = useMutation({ mutationFn: () => call<Job>('POST', `/jobs/${job.id}/retry`), onSuccess: refresh });
  const remove = useMutation({
    mutationFn: () => call('DELETE', `/jobs/${job.id}`),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ['jobs'] });
      await navigate('/jobs');
    },
  });
  const model = job.artifacts.find(({ name }) => name === (job.points.find((one) => one.model !== null)?.model ?? ''));
  const failed = cancel.error ?? retry.error;
  return (
    <div className="actions">
      {model === undefined ? null : (
        <a className="button primary" href={model.url} download={model.name}>
          <Icon name="down" /> Download {model.name}
        </a>
      )}
      {can('jobs:write') ? (
        <>
          <Link className="button" to={`/submit?again=${job.id}`}>
            <Icon name="again" /> Again with changes
          </Link>
          {!isOver(job) ? (
            <button
              type="button"
              className="button danger"
              disabled={cancel.isPending || job.status === 'canceling'}
              onClick={() => cancel.mutate()}
            >
              {job.status === 'canceling' ? 'Canceling…' : 'Cancel'}
            </button>
          ) : null}
          {job.status === 'failed' || job.status === 'canceled' ? (
            <button type="button" className="button" disabled={retry.isPending} onClick={() => retry.mutate()}>
              Retry
            </button>
          ) : null}
          {isOver(job) ? (
            <button
              type="button"
              className="button plain square"
              aria-label="Remove the job"
              onClick={() => setRemoving(true)}
            >
              <Icon name="trash" />
            </button>
          ) : null}
        </>
      ) : null}
      {failed === null ? null : <Failure error={failed} />}
      <Confirm
        open={removing}
        onClose={() => setRemoving(false)}
        title="Remove this job?"
        description="Its models and reports go with it. What it used stays in the usage of the team."
        action="Remove"
        pending={remove.isPending}
        onConfirm={() => remove.mutate()}
      >
        {remove.error === null ? null : <Failure error={remove.error} />}
      </Confirm>
    </div>
  );
}

export function Head({ job }: { job: Job }) {
  const now = useNow();
  return (
    <header className="job-head">
      <nav aria-label="Where this is" className="small">
        <Link to="/jobs">Jobs</Link>{' '}
        <span className="muted">
          / <span className="mono">{job.id}</span>
        </span>
      </nav>
      <div className="page-head job-title">
        <h1>{jobName(job)}</h1>
        <Status status={job.status} missed={job.verdict?.passed === false} />
        <Buttons job={job} />
      </div>
      <div className="job-facts muted">
        <span>{targetsInWords(targetsOf(job))}</span>
        <span title={moment(job.created_at)}>submitted {ago(job.created_at, now)}</span>
        {job.started_at === null ? null : <span>took {duration(tookSeconds(job, now))}</span>}
        {job.spec.priority === 'normal' ? null : <span>{job.spec.priority} priority</span>}
        {Object.entries(job.labels).map(([name, value]) => (
          <Link key={name} className="label" to={`/jobs?label=${encodeURIComponent(`${name}=${value}`)}`}>
            {name}={value}
          </Link>
        ))}
      </div>
    </header>
  );
}
