import type { SerializedError } from '../../errors/index.js';
import { phaseOf } from '../../jobs/next-tasks.js';
import { TASK_KINDS, type TaskKind } from '../../jobs/tasks.js';
import type { Tx } from '../connection/context.js';
import { type Job, Prisma, type Task } from '../generated/client.js';
import { addEvent, NO_LAYER, NO_POINT, patchLayer, publicError } from './job-state.js';

/**
 * When the storage has lost what a step made, the task that made it runs again. The tasks after it that have not
 * succeeded are `canceled` meanwhile, although their job runs: they cannot run without it. What they made before, and
 * the plan, stay.
 */

const place = (kind: Prisma.Sql): Prisma.Sql => Prisma.sql`array_position(${[...TASK_KINDS]}::text[], ${kind})`;

/** Lets the tasks that made these files run again. The job's row is locked. */
export async function recompute(tx: Tx, job: Job, missing: string[]): Promise<void> {
  const reopened = await tx.$queryRaw<{ id: string; kind: string; lost: string[] }[]>`
    update tasks t set state = 'waiting', attempt = attempt + 1, fraction = 0, finished_at = null, not_before = clock_timestamp(),
      worker_id = null, claim_token = null, lease_until = null, idle_seconds = 0
    from (
      select id, array_agg(file->>'name') as lost from tasks, jsonb_array_elements(coalesce(files, '[]')) as file
      where job_id = ${job.id} and state = 'succeeded' and kind not in ('plan', 'evaluate') and file->>'key' = any(${missing})
      group by id) as made
    where t.id = made.id returning t.id, t.kind, made.lost`;
  if (reopened.length === 0) return;
  for (const { id, lost } of reopened) {
    const task = await tx.task.findUniqueOrThrow({ where: { id } });
    await patchLayer(tx, task, { status: 'waiting', worker_id: null, attempt: null });
    await addEvent(tx, job, 'task.retrying', {
      kind: task.kind,
      layer: task.layer === NO_LAYER ? null : task.layer,
      point: task.point === NO_POINT ? null : task.point,
      attempt: task.attempt - 1,
      delay_seconds: 0,
      error: publicError(lostBy(task, lost)),
    });
  }
  const layers = reopened.filter(({ kind }) => kind === 'layer').length;
  if (layers > 0)
    await tx.$executeRaw`update jobs set layers_done = greatest(0, layers_done - ${layers}) where id = ${job.id}`;
  await holdLaterTasks(tx, job.id);
  await showPhase(tx, job);
}

const lostBy = (task: Task, names: string[]): SerializedError => ({
  code: 'gone',
  detail: `what the step ${task.kind} made is not stored any more (${names.slice(0, 5).join(', ')}${names.length > 5 ? ', …' : ''}): it is made again`,
  origin: 'infrastructure',
  layer: null,
  faults: [],
});

/** Tasks that wait, and come after one of their job that has not succeeded, wait for that one first. */
export async function holdLaterTasks(tx: Tx, jobId: string): Promise<void> {
  await tx.$executeRaw`
    update tasks t set state = 'canceled' where job_id = ${jobId} and state in ('waiting', 'released')
      and exists (select from tasks e where e.job_id = t.job_id and e.state <> 'succeeded'
        and ${place(Prisma.sql`e.kind`)} < ${place(Prisma.sql`t.kind`)})`;
}

/** The tasks that were held go on when nothing before them is open any more. The job's row is locked. */
export async function letHeldTasksGo(tx: Tx, job: Job): Promise<void> {
  await tx.$executeRaw`
    update tasks t set state = 'waiting', attempt = attempt + 1, fraction = 0, finished_at = null, not_before = clock_timestamp(),
      worker_id = null, claim_token = null, lease_until = null, idle_seconds = 0
    where job_id = ${job.id} and state = 'canceled'
      and not exists (select from tasks e where e.job_id = t.job_id and e.state <> 'succeeded'
        and ${place(Prisma.sql`e.kind`)} < ${place(Prisma.sql`t.kind`)})`;
  await showPhase(tx, job);
}

/** The phase of a job is that of the first of its tasks that has not succeeded. */
async function showPhase(tx: Tx, job: Job): Promise<void> {
  const open = await tx.task.findMany({
    where: { jobId: job.id, state: { not: 'succeeded' } },
    select: { kind: true },
    distinct: ['kind'],
  });
  const kinds = new Set(open.map(({ kind }) => kind));
  const first = TASK_KINDS.find((kind: TaskKind) => kinds.has(kind));
  if (first === undefined) return;
  const phase = phaseOf(first);
  const changed = await tx.job.updateMany({ where: { id: job.id, phase: { not: phase } }, data: { phase } });
  if (changed.count > 0) await addEvent(tx, job, 'job.phase', { phase });
}
