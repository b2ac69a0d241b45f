import { type SerializedError } from '../../errors/index.js';
import type { TaskState } from '../../jobs/tasks.js';
import type { LayerRow } from '../../jobs/results.js';
import type { NewTask } from '../../jobs/next-tasks.js';
import type { DatabaseSettings, Tx } from '../connection/context.js';
import { type Job, Prisma, type Task } from '../generated/client.js';
import { newId } from '../connection/ids.js';
import type { EventType } from '../records.js';
import { addDelivery } from './webhook-outbox.js';

/**
 * The pieces that the state changes of a job are made of. All of them run inside a transaction that holds the job's row
 * lock, so the events of a job commit in the order of their numbers.
 */

export const NO_LAYER = -1;
export const NO_POINT = 0;

export const json = (value: unknown): Prisma.InputJsonValue => value as Prisma.InputJsonValue;

/** Locks the job and reads it as it is now, or null. */
export async function lockJob(
  tx: Tx,
  where: { teamId: string; jobId: string } | { taskId: string },
): Promise<Job | null> {
  const rows =
    'taskId' in where
      ? await tx.$queryRaw<{ id: string }[]>`
          select j.id from jobs j where j.id = (select job_id from tasks where id = ${where.taskId}) for no key update`
      : await tx.$queryRaw<{ id: string }[]>`
          select id from jobs where id = ${where.jobId} and team_id = ${where.teamId} for no key update`;
  const id = rows[0]?.id;
  return id === undefined ? null : tx.job.findUnique({ where: { id } });
}

/** The task, locked, while it runs at this attempt; null when the fence refuses. */
export const lockRunningTask = (tx: Tx, taskId: string, attempt: number): Promise<Task | null> =>
  lockTask(tx, taskId, attempt, ['running']);

/** The same in any of these states. */
export async function lockTask(tx: Tx, taskId: string, attempt: number, states: TaskState[]): Promise<Task | null> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    select id from tasks where id = ${taskId} and attempt = ${attempt} and state::text = any(${states}) for no key update`;
  return rows.length === 0 ? null : tx.task.findUnique({ where: { id: taskId } });
}

export async function addEvent(tx: Tx, job: Job, type: EventType, data: Record<string, unknown> = {}): Promise<void> {
  await tx.event.create({ data: { teamId: job.teamId, jobId: job.id, type, data: json(data) } });
}

/** Recording the same task again does nothing. */
export async function addTasks(tx: Tx, job: Pick<Job, 'id' | 'teamId'>, tasks: NewTask[]): Promise<void> {
  await tx.task.createMany({
    data: tasks.map(({ kind, layer, point }) => ({
      id: newId('tsk'),
      teamId: job.teamId,
      jobId: job.id,
      kind,
      layer: layer ?? NO_LAYER,
      point: point ?? NO_POINT,
    })),
    skipDuplicates: true,
  });
}

/**
 * Adds the time since the last change to the clock that ran, then lets the right one run. Call it after any change of
 * tasks.
 */
export async function settleClock(tx: Tx, jobId: string): Promise<void> {
  await tx.$executeRaw`
    update jobs set
      queued_seconds = queued_seconds + case when clock_running then 0 else extract(epoch from clock_timestamp() - clock_at) end,
      running_seconds = running_seconds + case when clock_running then extract(epoch from clock_timestamp() - clock_at) else 0 end,
      clock_running = exists (select from tasks where job_id = jobs.id and state = 'running'),
      clock_at = clock_timestamp()
    where id = ${jobId} and finished_at is null`;
}

/**
 * Device time of an attempt that ends now (or ended with its last heartbeat): added to the task, the job, the usage of
 * the day, and to what its team's account is charged at the relay's next turn.
 */
export async function countDeviceTime(
  tx: Tx,
  task: Task,
  until: 'now' | 'last_heartbeat',
  idleSeconds = 0,
): Promise<void> {
  const end = until === 'now' ? Prisma.sql`clock_timestamp()` : Prisma.sql`coalesce(heartbeat_at, started_at)`;
  await addIdleSeconds(tx, task, idleSeconds);
  await tx.$executeRaw`select sparank_count_device_time(id, ${end}) from tasks where id = ${task.id}`;
}

/**
 * What the worker of an attempt waited for things that were away is not device time: the attempt counts as begun so
 * much later. `idleSeconds` is the sum since the claim; what heartbeats have told is in it.
 */
export async function addIdleSeconds(tx: Tx, task: Pick<Task, 'id' | 'attempt'>, idleSeconds: number): Promise<void> {
  if (idleSeconds === 0) return;
  await tx.$executeRaw`
    update tasks set started_at = started_at + make_interval(secs => ${idleSeconds}::float8 - idle_seconds), idle_seconds = ${idleSeconds}
    where id = ${task.id} and attempt = ${task.attempt} and state = 'running' and idle_seconds < ${idleSeconds}`;
}

/** Ends every task of the job that has not ended. Running ones are told by their next heartbeat. */
export async function cancelOpenTasks(tx: Tx, jobId: string): Promise<void> {
  const running = await tx.task.findMany({ where: { jobId, state: 'running' } });
  for (const task of running) await countDeviceTime(tx, task, 'now');
  await tx.$executeRaw`
    update tasks set state = 'canceled', finished_at = clock_timestamp()
    where job_id = ${jobId} and state in ('waiting', 'released', 'running')`;
}

/** Ends a job that has not reached its result; one that has ends with its last task (sparank_succeed_task). */
export async function endJob(
  tx: Tx,
  job: Job,
  end: { status: 'failed' | 'canceled'; error?: SerializedError },
): Promise<void> {
  await cancelOpenTasks(tx, job.id);
  await settleClock(tx, job.id);
  await tx.$executeRaw`
    update jobs set status = ${end.status}::job_status, finished_at = clock_timestamp(), clock_running = false,
      error = ${end.error === undefined ? null : JSON.stringify(end.error)}::jsonb
    where id = ${job.id}`;
  await addDelivery(tx, job.id, `job.${end.status}`);
  await addEvent(tx, job, `job.${end.status}`, end.error === undefined ? {} : { error: publicError(end.error) });
}

/** A job that is being canceled is canceled once no task of it runs. */
export async function endIfCanceled(tx: Tx, job: Job): Promise<boolean> {
  const running = await tx.task.count({ where: { jobId: job.id, state: 'running' } });
  if (running > 0) return false;
  await endJob(tx, job, { status: 'canceled' });
  return true;
}

/**
 * Whether the files that the steps of a job (`jobs`) handed to each other may be deleted. A job that failed or was
 * canceled keeps them for a retry, except when its input is at fault: then another run cannot use them.
 */
export const workIsGone = ({
  ARTIFACT_TTL_DAYS,
}: Pick<DatabaseSettings, 'ARTIFACT_TTL_DAYS'>): Prisma.Sql => Prisma.sql`(
  jobs.status = 'succeeded' or (jobs.status = 'failed' and jobs.error->>'origin' = 'input' and jobs.error->>'code' <> 'deadline_exceeded')
  or (jobs.status in ('failed', 'canceled') and jobs.finished_at < clock_timestamp() - make_interval(secs => ${ARTIFACT_TTL_DAYS * 86_400})))`;

/** Puts a task back: the next attempt waits until `delaySeconds` from now. */
export async function requeueTask(
  tx: Tx,
  task: Task,
  change: { failed: boolean; elsewhere?: boolean; delaySeconds: number; error?: SerializedError },
): Promise<void> {
  await tx.$executeRaw`
    update tasks set state = 'waiting', attempt = attempt + 1, failures = failures + ${change.failed ? 1 : 0},
      hand_backs = hand_backs + ${change.elsewhere === true ? 1 : 0},
      not_before = clock_timestamp() + make_interval(secs => ${change.delaySeconds}),
      worker_id = null, claim_token = null, lease_until = null, fraction = 0, idle_seconds = 0,
      error = coalesce(${change.error === undefined ? null : JSON.stringify(change.error)}::jsonb, error)
    where id = ${task.id}`;
  await patchLayer(tx, task, { status: 'waiting', worker_id: null, attempt: null });
}

/**
 * Changes some fields of a layer's row in the ledger of every point that compresses it; nothing for the steps that have
 * no layer.
 */
export async function patchLayer(tx: Tx, task: Task, patch: Partial<LayerRow>): Promise<void> {
  if (task.layer === NO_LAYER) return;
  await tx.$executeRaw`
    update layers set row = row || ${JSON.stringify(patch)}::jsonb
    where job_id = ${task.jobId} and team_id = ${task.teamId} and index = ${task.layer}
      and coalesce(row->>'decision', '') not in ('dense', 'dropped')`;
}

export const publicError = ({ code, detail, origin, layer }: SerializedError) => ({ code, detail, origin, layer });
