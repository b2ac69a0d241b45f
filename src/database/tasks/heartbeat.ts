import { phaseOf } from '../../jobs/next-tasks.js';
import { jobFraction } from '../../jobs/progress.js';
import type { TaskKind } from '../../jobs/tasks.js';
import type { DatabaseContext } from '../connection/context.js';
import type { JobStatus } from '../generated/client.js';
import type { PoolRepository } from '../repositories.js';

/** Smaller steps of a task's progress are not worth a new version of the job. */
const VISIBLE_STEP = 0.02;

export function heartbeat({ prisma, prepared, settings }: DatabaseContext): PoolRepository['heartbeat'] {
  return async (taskId, attempt, { fraction, idleSeconds = 0 }) => {
    const [beat] = await prepared<{ jobId: string; kind: TaskKind; before: number; status: JobStatus }>(
      'heartbeat',
      `with old as (
         select id, fraction from tasks where id = $1 and attempt = $2 and state = 'running' for no key update
       ), beat as (
         update tasks set heartbeat_at = clock_timestamp(), fraction = greatest(tasks.fraction, $3),
           started_at = started_at + make_interval(secs => greatest(0, $5 - tasks.idle_seconds)),
           idle_seconds = greatest(tasks.idle_seconds, $5),
           lease_until = clock_timestamp() + make_interval(secs => $4)
         from old where tasks.id = old.id returning tasks.job_id, tasks.kind, old.fraction as before
       )
       select beat.job_id as "jobId", beat.kind, beat.before, jobs.status from beat join jobs on jobs.id = beat.job_id
         cross join set_config('synchronous_commit', 'off', true)`,
      [taskId, attempt, fraction, settings.LEASE_SECONDS, idleSeconds],
    );
    if (beat === undefined) {
      const task = await prisma.task.findFirst({ where: { id: taskId, attempt }, select: { state: true } });
      return task?.state === 'canceled' ? 'cancel' : 'lost';
    }
    if (beat.status !== 'running') return 'cancel';
    if (Math.floor(fraction / VISIBLE_STEP) > Math.floor(beat.before / VISIBLE_STEP))
      await showProgress(beat.jobId, beat.kind);
    return 'ok';
  };

  async function showProgress(jobId: string, kind: TaskKind): Promise<void> {
    const [sum] = await prisma.$queryRaw<{ done: number; total: number; points: number }[]>`
      select sum(case state when 'succeeded' then 1 when 'running' then fraction else 0 end)::float8 as done,
        count(*)::float8 as total,
        (select coalesce(jsonb_array_length(spec->'targets'), 1) from jobs where id = ${jobId}) as points
      from tasks where job_id = ${jobId} and kind = ${kind}`;
    if (sum === undefined) return;
    const fraction = jobFraction({ phase: phaseOf(kind), ...sum });
    await prisma.$executeRaw`
      update jobs set fraction = ${fraction} where id = ${jobId} and status = 'running' and fraction < ${fraction}`;
  }
}
