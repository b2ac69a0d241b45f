import { etaSeconds } from '../../jobs/progress.js';
import { PRIORITIES } from '../../jobs/spec.js';
import type { DatabaseContext } from '../connection/context.js';
import { together } from '../connection/together.js';
import type { JobBrief } from '../records.js';
import type { JobRepository } from '../repositories.js';

interface Row extends Omit<JobBrief, 'priority' | 'progress'> {
  priority: number;
  fraction: number;
  runningSeconds: number;
}

function brief({ priority, fraction, runningSeconds, ...job }: Row): JobBrief {
  const eta = job.status === 'running' ? etaSeconds(fraction, runningSeconds) : null;
  return { ...job, priority: PRIORITIES[priority] ?? 'normal', progress: { etaSeconds: eta } };
}

/**
 * Most polls find nothing new: what they read is a few columns, not the specification and the results, and all that ask
 * at the same moment are answered by one statement. It is read after they asked: whatever a client has seen of the job,
 * here or from another process, is in it.
 */
export function readBrief({ prepared }: DatabaseContext): JobRepository['brief'] {
  const find = together<string, JobBrief | null>(async (ids) => {
    const rows = await prepared<Row>(
      'job briefs',
      `select id, seq::float8 as seq, team_id as "teamId", status::text as status, version, priority::int, needs, fraction,
        (running_seconds + case when clock_running then extract(epoch from clock_timestamp() - clock_at) else 0 end)::float8
          as "runningSeconds"
      from jobs where id = any($1)`,
      [[...new Set(ids)]],
    );
    const found = new Map(rows.map((row) => [row.id, brief(row)]));
    return ids.map((id) => found.get(id) ?? null);
  });
  return async (teamId, jobId) => {
    const job = await find(jobId);
    return job?.teamId === teamId ? job : null;
  };
}
