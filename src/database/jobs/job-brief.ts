import { etaSeconds } from '../../jobs/progress.js';
import { PRIORITIES } from '../../jobs/spec.js';
import type { DatabaseContext } from '../connection/context.js';
import type { JobBrief } from '../records.js';
import type { JobRepository } from '../repositories.js';

interface Row extends Omit<JobBrief, 'priority' | 'progress'> {
  priority: number;
  fraction: number;
  runningSeconds: number;
}

/** Most polls find nothing new: what they read is a few columns, not the specification and the results. */
export function readBrief({ prisma }: DatabaseContext): JobRepository['brief'] {
  return async (teamId, jobId) => {
    const [row] = await prisma.$queryRaw<Row[]>`
      select id, seq::float8 as seq, team_id as "teamId", status::text as status, version, priority::int, needs, fraction,
        (running_seconds + case when clock_running then extract(epoch from clock_timestamp() - clock_at) else 0 end)::float8
          as "runningSeconds"
      from jobs where id = ${jobId} and team_id = ${teamId}`;
    if (row === undefined) return null;
    const { priority, fraction, runningSeconds, ...job } = row;
    const eta = job.status === 'running' ? etaSeconds(fraction, runningSeconds) : null;
    return { ...job, priority: PRIORITIES[priority] ?? 'normal', progress: { etaSeconds: eta } };
  };
}
