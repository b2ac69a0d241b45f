import { phaseOf } from '../../jobs/next-tasks.js';
import { jobFraction, sharesOf, type SharesSource } from '../../jobs/progress.js';
import type { TaskKind } from '../../jobs/tasks.js';
import type { DatabaseContext } from '../connection/context.js';
import type { JobStatus, TaskState } from '../generated/client.js';
import type { PoolRepository } from '../repositories.js';

/** Smaller steps of a task's progress are not worth a new version of the job. */
const VISIBLE_STEP = 0.02;

interface Beat {
  /** Whether the lease was renewed. */
  alive: boolean;
  /** The rest: as it was before. */
  state: TaskState;
  jobId: string;
  kind: TaskKind;
  before: number;
  status: JobStatus;
}

export function heartbeat({ prisma, prepared, settings }: DatabaseContext): PoolRepository['heartbeat'] {
  return async (taskId, attempt, { fraction, idleSeconds = 0 }) => {
    const [task] = await prepared<Beat>(
      'heartbeat',
      // By its key: from `state = 'running'` the planner concludes that the index of open tasks will do, and reads all
      // of them.
      `with beat as (
         update tasks set heartbeat_at = clock_timestamp(), fraction = greatest(fraction, $3),
           started_at = started_at + make_interval(secs => greatest(0, $5 - idle_seconds)),
           idle_seconds = greatest(idle_seconds, $5), lease_until = clock_timestamp() + make_interval(secs => $4)
         where id = $1 and attempt = $2 and state::text = 'running' returning id
       )
       select beat.id is not null as alive, t.state, t.job_id as "jobId", t.kind, t.fraction as before, jobs.status
       from tasks t join jobs on jobs.id = t.job_id left join beat on beat.id = t.id
         cross join set_config('synchronous_commit', 'off', true)
       where t.id = $1 and t.attempt = $2`,
      [taskId, attempt, fraction, settings.LEASE_SECONDS, idleSeconds],
    );
    if (!task?.alive) {
      // What changed while the statement waited for it is not in its answer.
      const now = task?.state === 'running' ? await prisma.task.findFirst({ where: { id: taskId, attempt } }) : task;
      return now?.state === 'canceled' ? 'cancel' : 'lost';
    }
    if (task.status !== 'running') return 'cancel';
    if (Math.floor(fraction / VISIBLE_STEP) > Math.floor(task.before / VISIBLE_STEP))
      await showProgress(task.jobId, task.kind);
    return 'ok';
  };

  async function showProgress(jobId: string, kind: TaskKind): Promise<void> {
    const [sum] = await prisma.$queryRaw<(SharesSource & { done: number; total: number })[]>`
      select sum(case state when 'succeeded' then 1 when 'running' then fraction else 0 end)::float8 as done,
        count(*)::float8 as total,
        (select coalesce(jsonb_array_length(spec->'targets'), 1) from jobs where id = ${jobId}) as targets,
        (select spec->'effort' from jobs where id = ${jobId}) as effort,
        (select result->'expected' from tasks where job_id = ${jobId} and kind = 'inspect') as expected
      from tasks where job_id = ${jobId} and kind = ${kind}`;
    if (sum === undefined) return;
    const { done, total } = sum;
    const fraction = jobFraction({ phase: phaseOf(kind), done, total, shares: sharesOf(sum) });
    await prisma.$executeRaw`
      update jobs set fraction = ${fraction} where id = ${jobId} and status = 'running' and fraction < ${fraction}`;
  }
}
