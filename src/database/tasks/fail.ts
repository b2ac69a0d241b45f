import type { SerializedError } from '../../errors/index.js';
import { backoffSeconds } from '../../jobs/backoff.js';
import type { DatabaseContext, Tx } from '../connection/context.js';
import type { Job, Task } from '../generated/client.js';
import {
  addEvent,
  countDeviceTime,
  endIfCanceled,
  endJob,
  lockJob,
  lockRunningTask,
  lockTask,
  NO_LAYER,
  NO_POINT,
  patchLayer,
  publicError,
  requeueTask,
  settleClock,
} from '../jobs/job-state.js';
import { holdLaterTasks, recompute } from '../jobs/recompute.js';
import type { PoolRepository } from '../repositories.js';
import { LIVE } from '../workers/worker-repository.js';

export function fail(context: DatabaseContext): PoolRepository['fail'] {
  return (taskId, attempt, error, idleSeconds) =>
    context.transaction(async (tx) => {
      const job = await lockJob(tx, { taskId });
      const task = job === null ? null : await lockTask(tx, taskId, attempt, ['released', 'running']);
      if (job === null || task === null) return 'lost';
      if (task.state === 'running') await countDeviceTime(tx, task, 'now', idleSeconds);
      return endAttempt(tx, context, { job, task }, error);
    });
}

/** What a failed attempt means for its task and job. The job's row is locked and the task runs. */
export async function endAttempt(
  tx: Tx,
  { settings }: DatabaseContext,
  { job, task }: { job: Job; task: Task },
  error: SerializedError,
): Promise<'retrying' | 'failed' | 'canceled'> {
  // One whose first task cannot be claimed is still queued.
  if (job.status !== 'running' && job.status !== 'queued') {
    await stopTask(tx, task);
    await settleClock(tx, job.id);
    if (job.status === 'canceling') await endIfCanceled(tx, job);
    return 'canceled';
  }
  const failures = task.failures + 1;
  if (error.missing !== undefined) await recompute(tx, job, error.missing);
  if (error.origin !== 'input' && failures < settings.TASK_ATTEMPTS) {
    const delaySeconds = backoffSeconds(failures);
    await requeueTask(tx, task, { failed: true, delaySeconds, error });
    await holdLaterTasks(tx, job.id);
    await settleClock(tx, job.id);
    await addEvent(tx, job, 'task.retrying', {
      kind: task.kind,
      layer: task.layer === NO_LAYER ? null : task.layer,
      point: task.point === NO_POINT ? null : task.point,
      attempt: task.attempt,
      delay_seconds: delaySeconds,
      error: publicError(error),
    });
    return 'retrying';
  }
  await tx.$executeRaw`
    update tasks set state = 'failed', failures = ${failures}, finished_at = clock_timestamp(), error = ${JSON.stringify(error)}::jsonb
    where id = ${task.id}`;
  await patchLayer(tx, task, { status: 'failed', reason: error.detail });
  await endJob(tx, job, { status: 'failed', error });
  return 'failed';
}

export async function stopTask(tx: Tx, task: Task): Promise<void> {
  await tx.$executeRaw`update tasks set state = 'canceled', finished_at = clock_timestamp() where id = ${task.id}`;
  await patchLayer(tx, task, { status: 'waiting', worker_id: null, attempt: null });
}

export function requeue({ transaction }: DatabaseContext): PoolRepository['requeue'] {
  return (taskId, attempt, idleSeconds) =>
    transaction(async (tx) => {
      const job = await lockJob(tx, { taskId });
      const task = job === null ? null : await lockRunningTask(tx, taskId, attempt);
      if (job === null || task === null) return false;
      await countDeviceTime(tx, task, 'now', idleSeconds);
      if (job.status === 'running') {
        await requeueTask(tx, task, { failed: false, delaySeconds: 0 });
        await holdLaterTasks(tx, job.id);
      } else await stopTask(tx, task);
      await settleClock(tx, job.id);
      if (job.status === 'canceling') await endIfCanceled(tx, job);
      return true;
    });
}

/**
 * Workers may call a fault their own so often; then it counts as a failure: what all of them trip over may be the task.
 */
const MOST_HAND_BACKS = 5;

export function requeueElsewhere(context: DatabaseContext): PoolRepository['requeueElsewhere'] {
  return (taskId, attempt, error, idleSeconds) =>
    context.transaction(async (tx) => {
      const job = await lockJob(tx, { taskId });
      const task = job === null ? null : await lockRunningTask(tx, taskId, attempt);
      if (job === null || task === null) return 'lost';
      await countDeviceTime(tx, task, 'now', idleSeconds);
      const spare = job.status === 'running' && task.handBacks < MOST_HAND_BACKS && (await anotherCanRun(tx, task));
      if (!spare) return endAttempt(tx, context, { job, task }, error);
      const delaySeconds = task.handBacks === 0 ? 0 : backoffSeconds(task.handBacks);
      await requeueTask(tx, task, { failed: false, elsewhere: true, delaySeconds, error });
      await holdLaterTasks(tx, job.id);
      await settleClock(tx, job.id);
      return 'handed_back';
    });
}

async function anotherCanRun(tx: Tx, { id, workerId }: Task): Promise<boolean> {
  const [found] = await tx.$queryRaw<{ other: boolean }[]>`
    select exists (select from workers w where w.id is distinct from ${workerId} and ${LIVE}
      and sparank_can_run((select needs from tasks where id = ${id}), w.engine, w.device_memory_bytes, w.class)) as other`;
  return found?.other;
}
