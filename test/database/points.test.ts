import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/database/index.js';
import { migrate } from '../../src/database/connection/migrate.js';
import { readConfig } from '../../src/config/index.js';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import type { Database } from '../../src/database/repositories.js';
import type { SerializedError } from '../../src/errors/index.js';
import type { Assignment, PlanResult } from '../../src/jobs/tasks.js';
import {
  claimNext,
  createJob,
  finishNext,
  layerRow,
  newJob,
  stepFile,
  stepResult,
  testMetrics,
  testPlan,
  testSpec,
} from '../support/jobs.js';
import { quietLog } from '../support/log.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { runSql } from '../support/teams.js';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

const targets = [{ parameter_ratio: 2 }, { parameter_ratio: 4 }, { speedup: 3 }];
const spec = { ...testSpec(), targets };
const crash: SerializedError = {
  code: 'compute_failed',
  detail: '',
  origin: 'infrastructure',
  layer: null,
  faults: [],
};

const jobOf = async (database: Database, id: string) => {
  const job = await database.jobs.get(DEFAULT_TEAM, id);
  if (job === null) throw new Error('the job is gone');
  return job;
};
const claimed = async (database: Database) => {
  const task = await claimNext(database);
  if (task === null) throw new Error('nothing to claim');
  return task;
};

/** Ends the next task, the plan with `plan`. */
async function planWith(database: Database, plan: PlanResult): Promise<void> {
  const task = await claimed(database);
  await database.pool.succeed(task.taskId, task.attempt, { result: plan, files: [] });
}

describe('a job with several targets', () => {
  it('has one task for a layer, one for the assembly of each point, and one evaluation; its progress never falls', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database, { spec });
    const kinds: string[] = [];
    const fractions: number[] = [];
    for (let step = 0; step < 8; step++) {
      const task = await claimed(database);
      kinds.push([task.kind, task.layer, task.point].filter((part) => part !== null).join(' '));
      for (const fraction of [0.3, 0.9]) {
        await database.pool.heartbeat(task.taskId, task.attempt, { fraction });
        fractions.push((await jobOf(database, id)).progress.fraction);
      }
      const files =
        task.kind === 'evaluate' ? ['model.onnx', 'model-2.onnx', 'report.json'].map((n) => stepFile(n)) : [];
      await database.pool.succeed(task.taskId, task.attempt, { result: stepResult(task, 2), files });
      fractions.push((await jobOf(database, id)).progress.fraction);
    }
    const assemblies = [1, 2, 3].map((point) => `assemble ${point}`);
    expect(kinds).toEqual(['inspect', 'plan', 'layer 0', 'layer 1', ...assemblies, 'evaluate']);
    expect(await claimNext(database)).toBeNull();
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
    expect(new Set(fractions).size).toBe(fractions.length);

    const job = await jobOf(database, id);
    expect(job).toMatchObject({ status: 'succeeded', progress: { fraction: 1, layersDone: 2, layersTotal: 2 } });
    expect(job.points?.map(({ point, target, model, error }) => [point, target, model, error])).toEqual([
      [1, targets[0], 'model.onnx', null],
      [2, targets[1], 'model-2.onnx', null],
      [3, targets[2], 'model-3.onnx', null],
    ]);
    expect(job.points?.map(({ metrics }) => metrics)).toEqual([job.metrics, job.metrics, job.metrics]);
    expect(job.metrics?.seconds.device).toBeGreaterThan(0);
  });

  it('keeps a ledger for every point, as soon as the model was inspected', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database, { spec });
    const ranks = async (point?: number) =>
      (await database.layers.list(DEFAULT_TEAM, id, point))?.map(({ rank }) => rank);
    expect(await ranks(2)).toEqual([]);
    await finishNext(database, 2);
    expect(await ranks(3)).toEqual([null, null]);
    for (let step = 0; step < 3; step++) await finishNext(database, 2);
    expect([await ranks(), await ranks(1), await ranks(2), await ranks(3)]).toEqual([
      [8, 8],
      [8, 8],
      [16, 8],
      [24, 8],
    ]);
    expect(await ranks(4)).toEqual([]);
    expect(await database.layers.list('team_other', id, 2)).toBeNull();
  });

  it.each(['dense', 'dropped'] as const)(
    'shows a layer at work in the points that compress it, not where it is %s',
    async (decision) => {
      const database = await postgres.open();
      const { id } = await createJob(database, { spec: { ...spec, targets: targets.slice(0, 2) } });
      await finishNext(database, 1);
      const plan = testPlan(targets.slice(0, 2), 1);
      const [first, second] = plan.points;
      const inspected = await database.layers.list(DEFAULT_TEAM, id);
      const row = inspected?.[0];
      if (first === undefined || second === undefined || row === undefined) throw new Error('no plan');
      first.layers = [{ ...row, decision: 'compressed' }];
      second.layers = [{ ...row, decision, status: 'done', reason: 'cheap' }];
      second.allocations = [];
      await planWith(database, plan);
      const task = await claimed(database);
      const status = async (point: number) => (await database.layers.list(DEFAULT_TEAM, id, point))?.[0]?.status;
      expect([await status(1), await status(2)]).toEqual(['running', 'done']);
      await database.pool.requeue(task.taskId, task.attempt);
      expect([await status(1), await status(2)]).toEqual(['waiting', 'done']);
    },
  );

  it('goes on without a point that cannot be reached, and tells so from the plan on', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database, { spec });
    await finishNext(database, 1);
    const plan = testPlan(targets, 1);
    const detail = 'a speedup of 3.00 cannot be reached';
    const error: SerializedError = { code: 'unreachable_target', detail, origin: 'input', layer: null, faults: [] };
    plan.points[0] = { point: 1, target: { parameter_ratio: 2 }, allocations: [], layers: [], error };
    await planWith(database, plan);
    expect((await jobOf(database, id)).points?.map((point) => point.error?.detail ?? null)).toEqual([
      detail,
      null,
      null,
    ]);
    await finishNext(database, 1);
    const assemblies = [await finishNext(database, 1), await finishNext(database, 1)];
    expect(assemblies.map(({ kind, point }) => `${kind} ${point}`)).toEqual(['assemble 2', 'assemble 3']);
    await finishNext(database, 1);
    const job = await jobOf(database, id);
    expect(job.status).toBe('succeeded');
    expect(job.points?.map(({ model }) => model)).toEqual([null, 'model-2.onnx', 'model-3.onnx']);
    expect(job.metrics).toEqual(job.points?.[1]?.metrics);
  });

  it('is retried from the point that failed, the assembled ones kept, each result at its own attempt only', async () => {
    const database = await postgres.open({ TASK_ATTEMPTS: 1 });
    const { id } = await createJob(database, { spec });
    for (let step = 0; step < 4; step++) await finishNext(database, 2);
    await finishNext(database, 2);
    const second = await claimed(database);
    expect([second.kind, second.point]).toEqual(['assemble', 2]);
    await database.pool.fail(second.taskId, second.attempt, crash);
    expect((await jobOf(database, id)).status).toBe('failed');
    await database.jobs.retry(DEFAULT_TEAM, id);
    const late = { result: stepResult(second, 2), files: [] };
    expect(await database.pool.succeed(second.taskId, second.attempt, late)).toBe(false);
    const tasks: Assignment[] = [];
    // Messages of first attempts may still be around: nobody gets a task for one of them.
    for (let look = 0; look < 10 && tasks.length < 3; look++) {
      const task = await claimNext(database);
      if (task === null) continue;
      tasks.push(task);
      await database.pool.succeed(task.taskId, task.attempt, { result: stepResult(task, 2), files: [] });
    }
    expect(tasks.map(({ kind, point }) => [kind, point])).toEqual([
      ['assemble', 2],
      ['assemble', 3],
      ['evaluate', null],
    ]);
    expect(tasks[2]?.finished.filter(({ kind }) => kind === 'assemble').map(({ point }) => point)).toEqual([1, 2, 3]);
    expect((await jobOf(database, id)).status).toBe('succeeded');
  });

  it('makes one evaluation when the last two points end at the same time', async () => {
    const database = await postgres.open();
    await createJob(database, { spec: { ...spec, targets: targets.slice(0, 2) } });
    for (let step = 0; step < 3; step++) await finishNext(database, 1);
    const points = [await claimed(database), await claimed(database)];
    const results = points.map((task) =>
      database.pool.succeed(task.taskId, task.attempt, { result: stepResult(task, 1), files: [] }),
    );
    expect(await Promise.all(results)).toEqual([true, true]);
    expect((await claimed(database)).kind).toBe('evaluate');
    expect(await claimNext(database)).toBeNull();
  });
});

describe('a job that was under way before there were points', () => {
  const START = '20261124000000_start';
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sparank-before-points-'));
    await cp(new URL(`../../prisma/migrations/${START}`, import.meta.url), join(directory, START), { recursive: true });
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('goes on with its solved layers as one with a single point, and ended ones show their numbers as a point', async () => {
    const url = await postgres.createDatabase({ migrated: false });
    await migrate(url, directory);
    const inputs = newJob().inputs;
    const insertJob = (id: string, more: Record<string, unknown>) => {
      const row = { id, team_id: DEFAULT_TEAM, spec: testSpec(), inputs, ...more };
      const names = Object.keys(row);
      const values = Object.values(row).map((value) => (typeof value === 'object' ? JSON.stringify(value) : value));
      return runSql(
        url,
        `insert into jobs (${names.join()}) values (${names.map((_, i) => `$${i + 1}`).join()})`,
        values,
      );
    };
    await insertJob('job_open', { status: 'running', phase: 'layers', layers_total: 2, layers_done: 1, fraction: 0.4 });
    await insertJob('job_done', { status: 'succeeded', metrics: testMetrics(), verdict: { passed: true, checks: [] } });
    const task = (kind: string, layer: number, result: unknown) =>
      runSql(
        url,
        `insert into tasks (id, team_id, job_id, kind, layer, state, result, files) values ($1, $2, 'job_open', $3, $4, $5, $6, '[]')`,
        [
          ...[`tsk_${kind}${layer}`, DEFAULT_TEAM, kind, layer, result === null ? 'waiting' : 'succeeded'],
          result === null ? null : JSON.stringify(result),
        ],
      );
    const rows = [0, 1].map((index) => layerRow(index, { decision: 'compressed' }));
    const solved = layerRow(0, { decision: 'compressed', status: 'done', rank: 8 });
    await task('inspect', -1, { model: {}, layers: rows });
    await task('plan', -1, { allocations: [0, 1].map((index) => ({ index, rank: 8, groups: 8 })), layers: rows });
    await task('layer', 0, { layer: solved });
    await task('layer', 1, null);
    await runSql(
      url,
      `insert into artifacts (team_id, job_id, name, storage_key, bytes, sha256, content_type, expires_at)
      values ('${DEFAULT_TEAM}', 'job_done', 'model.zip', 'k', 1, '', 'application/zip', now())`,
    );

    const database = await openDatabase({ url, settings: readConfig({}), logger: quietLog });
    try {
      const second = await finishNext(database, 2);
      expect([second.kind, second.layer]).toEqual(['layer', 1]);
      const assembly = await finishNext(database, 2);
      expect([assembly.kind, assembly.point]).toEqual(['assemble', 1]);
      expect(assembly.finished.find(({ layer }) => layer === 0)?.result).toEqual({ rows: [solved] });
      await finishNext(database, 2);
      expect(await jobOf(database, 'job_open')).toMatchObject({
        status: 'succeeded',
        points: [{ point: 1, error: null }],
      });
      expect((await jobOf(database, 'job_done')).points).toEqual([
        {
          point: 1,
          target: { parameter_ratio: 4 },
          model: 'model.zip',
          metrics: testMetrics(),
          verdict: { passed: true, checks: [] },
          error: null,
        },
      ]);
    } finally {
      await database.close();
    }
  });
});
