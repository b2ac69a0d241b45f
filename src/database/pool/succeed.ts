import { artifactContentType } from '../../jobs/artifacts.js';
import { type Finished, nextTasks, phaseOf } from '../../jobs/next-tasks.js';
import { jobFraction } from '../../jobs/progress.js';
import type { LayerRow } from '../../jobs/results.js';
import type { StepFile, StepResult, StepResults, TaskKind } from '../../jobs/tasks.js';
import type { DatabaseContext, Tx } from '../context.js';
import type { Job, Task } from '../generated/client.js';
import { clocks } from '../job-record.js';
import {
  addEvent,
  addTasks,
  countDeviceTime,
  endIfCanceled,
  endJob,
  json,
  lockJob,
  lockRunningTask,
  settleClock,
} from '../job-state.js';
import type { PoolRepository } from '../repositories.js';

interface Outcome {
  result: StepResult;
  files: StepFile[];
  peakBytes?: number;
}

export function succeed({ transaction, settings }: DatabaseContext): PoolRepository['succeed'] {
  return (taskId, attempt, outcome) =>
    transaction(async (tx) => {
      const job = await lockJob(tx, { taskId });
      if (job === null) return false;
      const task = await lockRunningTask(tx, taskId, attempt);
      if (task === null) return isRepetition(tx, taskId, attempt);
      await countDeviceTime(tx, task, 'now');
      if (job.status !== 'running') {
        await tx.task.update({ where: { id: taskId }, data: { state: 'canceled', finishedAt: new Date() } });
        await settleClock(tx, job.id);
        if (job.status === 'canceling') await endIfCanceled(tx, job);
        return false;
      }
      const complete = await withWorker(tx, task, outcome);
      await storeOutcome(tx, task, complete);
      await settleClock(tx, job.id);
      await applyResult(tx, job, task, complete);
      await goOn(tx, job, task, complete);
      return true;
    });

  /** The answer to a first call may have been lost: the same attempt has succeeded, so the files are in use. */
  async function isRepetition(tx: Tx, taskId: string, attempt: number): Promise<boolean> {
    return (await tx.task.count({ where: { id: taskId, attempt, state: 'succeeded' } })) === 1;
  }

  /** Who solved a layer, and when: in the result itself, since later steps hand the row on. */
  async function withWorker(tx: Tx, task: Task, outcome: Outcome): Promise<Outcome> {
    if (task.kind !== 'layer') return outcome;
    const { layer } = outcome.result as StepResults['layer'];
    const seconds = layer.seconds ?? (await secondsOf(tx, task));
    return { ...outcome, result: { layer: { ...layer, worker_id: task.workerId, attempt: task.attempt, seconds } } };
  }

  async function storeOutcome(tx: Tx, task: Task, { result, files, peakBytes }: Outcome): Promise<void> {
    await tx.$executeRaw`
      update tasks set state = 'succeeded', finished_at = clock_timestamp(), fraction = 1, error = null,
        result = ${JSON.stringify(result)}::jsonb, files = ${JSON.stringify(files)}::jsonb,
        peak_bytes = ${peakBytes === undefined ? null : Math.round(peakBytes)}::bigint
      where id = ${task.id}`;
  }

  async function applyResult(tx: Tx, job: Job, task: Task, { result, files }: Outcome): Promise<void> {
    const kind = task.kind as TaskKind;
    if (kind === 'layer') {
      const { layer: row } = result as StepResults['layer'];
      await putRows(tx, job, [row]);
      await tx.job.update({ where: { id: job.id }, data: { layersDone: { increment: 1 } } });
      const { name, decision, relative_error, seconds } = row;
      await addEvent(tx, job, 'layer.finished', {
        layer: task.layer,
        name,
        decision,
        relative_error,
        seconds,
        attempt: task.attempt,
      });
      return;
    }
    await putRows(tx, job, (result as Exclude<StepResult, StepResults['layer']>).layers);
    if (kind === 'plan') {
      const layersTotal = (result as StepResults['plan']).allocations.length;
      await tx.job.update({ where: { id: job.id }, data: { layersTotal, layersDone: 0 } });
    }
    if (kind === 'evaluate') await storeReport(tx, job, result as StepResults['evaluate'], files);
  }

  async function storeReport(
    tx: Tx,
    job: Job,
    { metrics, verdict }: StepResults['evaluate'],
    files: StepFile[],
  ): Promise<void> {
    const now = await tx.job.findUniqueOrThrow({ where: { id: job.id } });
    await tx.job.update({
      where: { id: job.id },
      // The step could not know its own time: the last numbers are the ones kept here.
      data: { metrics: json({ ...metrics, seconds: clocks(now) }), verdict: json(verdict) },
    });
    const expiresAt = new Date(Date.now() + settings.ARTIFACT_TTL_DAYS * 86_400_000);
    await tx.artifact.createMany({
      data: files.map(({ name, key, bytes, sha256 }) => ({
        teamId: job.teamId,
        jobId: job.id,
        name,
        storageKey: key,
        bytes: BigInt(bytes),
        sha256,
        contentType: artifactContentType(name),
        expiresAt,
      })),
    });
  }

  async function goOn(tx: Tx, job: Job, task: Task, { result }: Outcome): Promise<void> {
    const kind = task.kind as TaskKind;
    const openLayers = await tx.task.count({ where: { jobId: job.id, kind: 'layer', state: { not: 'succeeded' } } });
    const finished: Finished =
      kind === 'plan'
        ? { kind, result: result as StepResults['plan'] }
        : kind === 'layer'
          ? { kind, openLayers }
          : { kind };
    const next = nextTasks(finished);
    await addTasks(tx, job, next);
    if (kind === 'evaluate') return endJob(tx, job, { status: 'succeeded' });

    const phase = phaseOf(next[0]?.kind ?? kind);
    const total = kind === 'layer' ? await tx.task.count({ where: { jobId: job.id, kind: 'layer' } }) : 1;
    const fraction = jobFraction({
      phase,
      done: phase === 'layers' && kind === 'layer' ? total - openLayers : 0,
      total,
    });
    await tx.job.update({ where: { id: job.id }, data: { phase, fraction: Math.max(fraction, job.fraction) } });
    if (phase !== job.phase) await addEvent(tx, job, 'job.phase', { phase });
  }
}

async function secondsOf(tx: Tx, task: Task): Promise<number> {
  const { startedAt, finishedAt } = await tx.task.findUniqueOrThrow({ where: { id: task.id } });
  return startedAt === null || finishedAt === null ? 0 : (finishedAt.getTime() - startedAt.getTime()) / 1000;
}

async function putRows(tx: Tx, job: Job, rows: LayerRow[]): Promise<void> {
  if (rows.length === 0) return;
  await tx.$executeRaw`
    insert into layers (team_id, job_id, index, row)
    select ${job.teamId}, ${job.id}, (row->>'index')::int, row from jsonb_array_elements(${JSON.stringify(rows)}::jsonb) as row
    on conflict (job_id, index) do update set row = excluded.row`;
}
