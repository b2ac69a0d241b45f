import { artifactContentType } from '../../jobs/artifacts.js';
import { type Finished, nextTasks, phaseOf } from '../../jobs/next-tasks.js';
import { choicesOf, layersToSolve, targetsOf } from '../../jobs/points.js';
import { jobFraction } from '../../jobs/progress.js';
import type { LayerRow } from '../../jobs/results.js';
import type { StepFile, StepResult, StepResults, TaskKind } from '../../jobs/tasks.js';
import type { DatabaseContext, Tx } from '../connection/context.js';
import type { Job, Task } from '../generated/client.js';
import { clocks, jobRecord } from '../jobs/job-record.js';
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
} from '../jobs/job-state.js';
import type { StoredPoint } from '../records.js';
import type { PoolRepository } from '../repositories.js';
import { addUsage } from '../usage/usage-repository.js';

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

  /** Who solved a layer, and when: in the result itself, since later steps hand the rows on. */
  async function withWorker(tx: Tx, task: Task, outcome: Outcome): Promise<Outcome> {
    if (task.kind !== 'layer') return outcome;
    const { rows } = outcome.result as StepResults['layer'];
    const whole = rows.some(({ seconds }) => seconds === null) ? await secondsOf(tx, task) : 0;
    const solved = rows.map((row) => ({
      ...row,
      worker_id: task.workerId,
      attempt: task.attempt,
      seconds: row.seconds ?? whole / rows.length,
    }));
    return { ...outcome, result: { rows: solved } };
  }

  async function storeOutcome(tx: Tx, task: Task, { result, files, peakBytes }: Outcome): Promise<void> {
    await tx.$executeRaw`
      update tasks set state = 'succeeded', finished_at = clock_timestamp(), fraction = 1, error = null,
        result = ${JSON.stringify(result)}::jsonb, files = ${JSON.stringify(files)}::jsonb,
        peak_bytes = ${peakBytes === undefined ? null : Math.round(peakBytes)}::bigint
      where id = ${task.id}`;
  }

  async function applyResult(tx: Tx, job: Job, task: Task, { result, files }: Outcome): Promise<void> {
    switch (task.kind as TaskKind) {
      case 'inspect': {
        const { layers } = result as StepResults['inspect'];
        const targets = targetsOf(jobRecord(job).spec);
        return putRows(
          tx,
          job,
          targets.map((_, i) => ({ point: i + 1, rows: layers })),
        );
      }
      case 'plan': {
        const plan = result as StepResults['plan'];
        await putRows(
          tx,
          job,
          plan.points.map(({ point, layers }) => ({ point, rows: layers })),
        );
        const none = { model: null, metrics: null, verdict: null };
        const points = plan.points.map(({ point, target, error }): StoredPoint => ({ point, target, ...none, error }));
        const layersTotal = layersToSolve(plan).length;
        await tx.job.update({ where: { id: job.id }, data: { layersTotal, layersDone: 0, points: json(points) } });
        return;
      }
      case 'layer':
        return storeLayer(tx, job, task, result as StepResults['layer']);
      case 'assemble':
        return putRows(tx, job, [{ point: task.point, rows: (result as StepResults['assemble']).layers }]);
      case 'evaluate':
        return storeReport(tx, job, result as StepResults['evaluate'], files);
    }
  }

  async function storeLayer(tx: Tx, job: Job, task: Task, { rows }: StepResults['layer']): Promise<void> {
    const choices = choicesOf(await planOf(tx, job), task.layer);
    const perPoint = choices.flatMap(({ points }, i) => {
      const row = rows[i];
      return row === undefined ? [] : points.map((point) => ({ point, rows: [row] }));
    });
    await putRows(tx, job, perPoint);
    await tx.job.update({ where: { id: job.id }, data: { layersDone: { increment: 1 } } });
    const [first] = rows;
    if (first === undefined) return;
    const { name, decision, relative_error } = first;
    await addEvent(tx, job, 'layer.finished', {
      layer: task.layer,
      name,
      decision,
      relative_error,
      seconds: rows.reduce((sum, { seconds }) => sum + (seconds ?? 0), 0),
      attempt: task.attempt,
      solves: rows.length,
    });
  }

  async function storeReport(
    tx: Tx,
    job: Job,
    { points: measured }: StepResults['evaluate'],
    files: StepFile[],
  ): Promise<void> {
    const plan = await planOf(tx, job);
    // The step could not know its own time: the last numbers are the ones kept here.
    const seconds = clocks(await tx.job.findUniqueOrThrow({ where: { id: job.id } }));
    await putRows(
      tx,
      job,
      measured.map(({ point, layers }) => ({ point, rows: layers })),
    );
    const points = plan.points.map(({ point, target, error }): StoredPoint => {
      const found = measured.find((m) => m.point === point);
      if (found === undefined) return { point, target, model: null, metrics: null, verdict: null, error };
      const { model, metrics, verdict } = found;
      return { point, target, model, metrics: { ...metrics, seconds }, verdict, error };
    });
    const first = points.find(({ metrics }) => metrics !== null);
    await tx.job.update({
      where: { id: job.id },
      data: { points: json(points), metrics: json(first?.metrics ?? null), verdict: json(first?.verdict ?? null) },
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
    await addUsage(tx, job.teamId, job.id, { artifactBytes: files.reduce((sum, { bytes }) => sum + bytes, 0) });
  }

  async function goOn(tx: Tx, job: Job, task: Task, { result }: Outcome): Promise<void> {
    const kind = task.kind as TaskKind;
    const next = nextTasks(await finishedStep(tx, job, kind, result));
    await addTasks(tx, job, next);
    if (kind === 'evaluate') return endJob(tx, job, { status: 'succeeded' });

    const nextKind = next[0]?.kind ?? kind;
    const phase = phaseOf(nextKind);
    const of = { jobId: job.id, kind: nextKind };
    const done = await tx.task.count({ where: { ...of, state: 'succeeded' } });
    const total = await tx.task.count({ where: of });
    const fraction = jobFraction({ phase, done, total, points: targetsOf(jobRecord(job).spec).length });
    await tx.job.update({ where: { id: job.id }, data: { phase, fraction: Math.max(fraction, job.fraction) } });
    if (phase !== job.phase) await addEvent(tx, job, 'job.phase', { phase });
  }

  async function finishedStep(tx: Tx, job: Job, kind: TaskKind, result: StepResult): Promise<Finished> {
    if (kind === 'inspect' || kind === 'evaluate') return { kind };
    const open = await tx.task.count({ where: { jobId: job.id, kind, state: { not: 'succeeded' } } });
    if (kind === 'assemble') return { kind, open };
    return { kind, open, plan: kind === 'plan' ? (result as StepResults['plan']) : await planOf(tx, job) };
  }
}

async function planOf(tx: Tx, job: Job): Promise<StepResults['plan']> {
  const task = await tx.task.findFirstOrThrow({ where: { jobId: job.id, kind: 'plan', state: 'succeeded' } });
  return task.result as unknown as StepResults['plan'];
}

async function secondsOf(tx: Tx, task: Task): Promise<number> {
  const { startedAt, finishedAt } = await tx.task.findUniqueOrThrow({ where: { id: task.id } });
  return startedAt === null || finishedAt === null ? 0 : (finishedAt.getTime() - startedAt.getTime()) / 1000;
}

/** `rows` of some points; each point has a ledger of its own. */
async function putRows(tx: Tx, job: Job, points: { point: number; rows: LayerRow[] }[]): Promise<void> {
  const entries = points.flatMap(({ point, rows }) => rows.map((row) => ({ point, row })));
  if (entries.length === 0) return;
  await tx.$executeRaw`
    insert into layers (team_id, job_id, point, index, row)
    select ${job.teamId}, ${job.id}, (entry->>'point')::int, (entry->'row'->>'index')::int, entry->'row'
    from jsonb_array_elements(${JSON.stringify(entries)}::jsonb) as entry
    on conflict (job_id, point, index) do update set row = excluded.row`;
}
