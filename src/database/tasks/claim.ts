import { randomUUID } from 'node:crypto';
import type { Assignment, FinishedTask, StepFile, StepResult, TaskKind } from '../../jobs/tasks.js';
import type { DatabaseContext, Tx } from '../connection/context.js';
import type { Job, Task } from '../generated/client.js';
import { clocks, jobRecord } from '../jobs/job-record.js';
import { addEvent, lockJob, NO_LAYER, NO_POINT, patchLayer, settleClock } from '../jobs/job-state.js';
import type { PoolRepository } from '../repositories.js';
import { withQuickTries } from '../connection/trouble.js';

export function claim({ transaction, settings }: DatabaseContext): PoolRepository['claim'] {
  return (taskId, attempt, workerId) => {
    // A try whose commit was not answered must find its own claim again, and a second message of the same attempt must not.
    const token = randomUUID();
    return withQuickTries(() =>
      transaction(async (tx) => {
        const job = await lockJob(tx, { taskId });
        if (job === null || (job.status !== 'queued' && job.status !== 'running')) return null;
        const taken = await tx.$executeRaw`
          update tasks set state = 'running', worker_id = ${workerId}, claim_token = ${token}, fraction = 0,
            started_at = clock_timestamp(), heartbeat_at = clock_timestamp(),
            lease_until = clock_timestamp() + make_interval(secs => ${settings.LEASE_SECONDS})
          where id = ${taskId} and attempt = ${attempt} and state = 'released'
            -- A worker that has changed since the task was released to its like must not take it.
            and (needs is null or exists (select from workers w where w.id = ${workerId}
              and sparank_can_run(needs, w.engine, w.device_memory_bytes, w.class)))`;
        const task = await tx.task.findFirst({ where: { id: taskId, attempt, claimToken: token, state: 'running' } });
        if (task === null) return null;
        if (taken === 1) await markStarted(tx, job, task, workerId);
        return assignment(tx, job.id, task);
      }),
    );
  };
}

async function markStarted(tx: Tx, job: Job, task: Task, workerId: string): Promise<void> {
  if (job.status === 'queued') {
    await tx.$executeRaw`
      update jobs set status = 'running', started_at = coalesce(started_at, clock_timestamp()) where id = ${job.id}`;
    await addEvent(tx, job, 'job.started', { worker_id: workerId });
  }
  await settleClock(tx, job.id);
  if (task.layer === NO_LAYER) return;
  await patchLayer(tx, task, { status: 'running', worker_id: workerId, attempt: task.attempt });
  await addEvent(tx, job, 'layer.started', { layer: task.layer, worker_id: workerId, attempt: task.attempt });
}

async function assignment(tx: Tx, jobId: string, task: Task): Promise<Assignment> {
  const row = await tx.job.findUniqueOrThrow({ where: { id: jobId } });
  const finished = await tx.task.findMany({
    where: { jobId, state: 'succeeded' },
    orderBy: [{ createdAt: 'asc' }, { layer: 'asc' }, { point: 'asc' }],
  });
  const job = jobRecord(row);
  return {
    taskId: task.id,
    jobId,
    teamId: task.teamId,
    kind: task.kind as TaskKind,
    layer: layerOf(task),
    point: pointOf(task),
    attempt: task.attempt,
    spec: job.spec,
    inputs: job.inputs,
    finished: finished.map(finishedTask),
    seconds: clocks(row),
    labels: job.labels,
    traceparent: row.traceparent,
  };
}

const layerOf = (task: Task): number | null => (task.layer === NO_LAYER ? null : task.layer);

const pointOf = (task: Task): number | null => (task.point === NO_POINT ? null : task.point);

const finishedTask = (task: Task): FinishedTask => ({
  kind: task.kind as TaskKind,
  layer: layerOf(task),
  point: pointOf(task),
  result: task.result as unknown as StepResult,
  files: task.files as unknown as StepFile[],
  peakBytes: task.peakBytes === null ? null : Number(task.peakBytes),
});
