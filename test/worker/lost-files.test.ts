import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import type { Database } from '../../src/database/repositories.js';
import { serializeError } from '../../src/errors/classify.js';
import { InfrastructureError } from '../../src/errors/index.js';
import { workPrefix } from '../../src/jobs/files.js';
import type { Assignment } from '../../src/jobs/tasks.js';
import { LocalStorage } from '../../src/storage/local-storage.js';
import type { FilesNeeded } from '../../src/pipeline/step.js';
import { claimNext, createJob, finishNext, stepFile, stepResult } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { keysOf } from '../support/storage.js';
import { createWorkableJob, openRig, type Rig } from './rig.js';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

/** As the real steps: nothing reads a file of the plan. */
const needed: FilesNeeded = ({ inputs, finished }) => [
  inputs.model,
  ...finished.flatMap(({ kind, files }) => (kind === 'plan' ? [] : files)),
];

describe('a file that the storage has lost', () => {
  let directory: string;
  let database: Database;
  let storage: LocalStorage;
  let rig: Rig;
  let jobId: string;
  const start = async (attempts: number) => {
    database = await postgres.open({ TASK_ATTEMPTS: attempts });
    rig = openRig(database, storage, directory);
    jobId = await createWorkableJob(database);
    await database.jobs.get(DEFAULT_TEAM, jobId);
    await putModel();
  };
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sparank-lost-'));
    storage = await LocalStorage.open(join(directory, 'storage'));
    await start(5);
  });
  afterEach(async () => {
    await rig.close();
    await rm(directory, { recursive: true, force: true });
  });

  const MODEL = 'uploads/team_default/model.onnx';
  const putModel = () => storage.put(MODEL, Readable.from([Buffer.alloc(10)]));
  const job = async () => database.jobs.get(DEFAULT_TEAM, jobId);
  const run = async (...kinds: string[]) => {
    for (const kind of kinds) {
      const { taskId } = await rig.runNext({ filesNeeded: needed });
      expect((await tasks()).find(({ id }) => id === taskId)?.kind).toBe(kind);
    }
  };
  const tasks = async () => {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    const { rows } = await client.query<{ id: string; kind: string; state: string; attempt: number }>(
      'select id, kind, state, attempt from tasks where job_id = $1',
      [jobId],
    );
    await client.end();
    return rows;
  };
  const states = async () => Object.fromEntries((await tasks()).map(({ kind, state }) => [kind, state]));
  const lose = async (kind: string) => {
    const row = (await tasks()).find((task) => task.kind === kind);
    await storage.deletePrefix(`${workPrefix(jobId)}${row?.id ?? ''}.`);
    // What this worker has a copy of is not lost for it.
    await rm(join(directory, 'cache'), { recursive: true, force: true });
  };
  const retries = async () =>
    ((await database.events.list(DEFAULT_TEAM, jobId, { limit: 100 }))?.data ?? [])
      .filter(({ type }) => type === 'task.retrying')
      .map(({ data }) => data as { kind: string; error: { code: string; detail: string } });

  it('is made again by the task that made it, and the job goes on from there', async () => {
    await run('inspect', 'plan');
    await lose('inspect');
    await run('layer');
    expect(await states()).toEqual({ inspect: 'waiting', plan: 'succeeded', layer: 'canceled' });
    expect(await job()).toMatchObject({ status: 'running', phase: 'inspect' });
    const told = await retries();
    expect(told.map(({ kind }) => kind).sort()).toEqual(['inspect', 'layer']);
    expect(told.find(({ kind }) => kind === 'layer')?.error).toMatchObject({
      code: 'gone',
      detail: expect.stringContaining('result.bin of the step inspect') as string,
    });
    await run('inspect');
    expect(await states()).toEqual({ inspect: 'succeeded', plan: 'succeeded', layer: 'waiting' });
    expect(await job()).toMatchObject({ phase: 'layers' });
    await run('layer', 'assemble', 'evaluate');
    expect(await job()).toMatchObject({
      status: 'succeeded',
      progress: { layersDone: 1, layersTotal: 1, fraction: 1 },
    });
    expect(await keysOf(storage)).toEqual([`jobs/${jobId}/artifacts/1/result.bin`, MODEL]);
  });

  it('is made again from the first step on when all of them are gone, each task once', async () => {
    await run('inspect', 'plan', 'layer');
    for (const kind of ['inspect', 'plan', 'layer']) await lose(kind);
    await run('assemble');
    expect(await states()).toEqual({ inspect: 'waiting', plan: 'succeeded', layer: 'canceled', assemble: 'canceled' });
    await run('inspect', 'layer', 'assemble', 'evaluate');
    expect(await job()).toMatchObject({ status: 'succeeded', progress: { layersDone: 1, layersTotal: 1 } });
    const [layer] = (await database.layers.list(DEFAULT_TEAM, jobId)) ?? [];
    expect(layer).toMatchObject({ status: 'done', decision: 'compressed' });
    expect((await tasks()).map(({ kind, attempt }) => [kind, attempt])).toEqual(
      expect.arrayContaining([
        ['inspect', 2],
        ['plan', 1],
        ['evaluate', 1],
      ]),
    );
  });

  it('is made again by a retry, when the job failed over it', async () => {
    await rig.close();
    await start(1);
    // The job of the first start is of another database.
    await run('inspect', 'plan');
    await lose('inspect');
    await run('layer');
    const failed = await job();
    expect(failed).toMatchObject({ status: 'failed', error: { code: 'gone', origin: 'infrastructure' } });
    expect(failed?.error?.detail).toContain('result.bin of the step inspect');
    await database.jobs.retry(DEFAULT_TEAM, jobId);
    expect(await states()).toEqual({ inspect: 'waiting', plan: 'succeeded', layer: 'canceled' });
    await run('inspect', 'layer', 'assemble', 'evaluate');
    expect(await job()).toMatchObject({ status: 'succeeded' });
  });

  it('does not bring a job that was canceled meanwhile out of order', async () => {
    await run('inspect', 'plan');
    await lose('inspect');
    await run('layer');
    await database.jobs.requestCancel(DEFAULT_TEAM, jobId);
    expect(await job()).toMatchObject({ status: 'canceled' });
    await database.jobs.retry(DEFAULT_TEAM, jobId);
    await run('inspect', 'layer', 'assemble', 'evaluate');
    expect(await job()).toMatchObject({ status: 'succeeded' });
  });

  it('that the client gave is named with its hash, and a retry goes on when it was sent again', async () => {
    await rig.close();
    await start(1);
    await run('inspect');
    await storage.delete(MODEL);
    await rm(join(directory, 'cache'), { recursive: true, force: true });
    await run('plan');
    const failed = await job();
    expect(failed).toMatchObject({ status: 'failed', error: { code: 'gone', origin: 'infrastructure' } });
    expect(failed?.error?.detail).toContain(`sha256:${failed?.inputs.model.sha256 ?? ''}`);
    await putModel();
    await database.jobs.retry(DEFAULT_TEAM, jobId);
    await run('plan', 'layer', 'assemble', 'evaluate');
    expect(await job()).toMatchObject({ status: 'succeeded' });
  });
});

it('layers that run go on while the inspection is made again; those that wait are held, and none is done twice', async () => {
  const LAYERS = 4;
  const database = await postgres.open();
  const { id } = await createJob(database);
  const claimed = async (): Promise<Assignment> => {
    const task = await claimNext(database);
    if (task === null) throw new Error('nothing to claim');
    return task;
  };
  const succeed = (task: Assignment, names: string[]) =>
    database.pool.succeed(task.taskId, task.attempt, {
      result: stepResult(task, LAYERS),
      files: names.map((name) => stepFile(name, `${workPrefix(id)}${task.taskId}.${task.attempt}/${name}`)),
    });
  const inspect = await claimed();
  await succeed(inspect, ['layer-0.samples', 'curves.json']);
  await finishNext(database, LAYERS);
  const [losing, running] = [await claimed(), await claimed()];
  const missing = [`${workPrefix(id)}${inspect.taskId}.1/layer-0.samples`];
  const gone = serializeError(new InfrastructureError('gone', 'layer-0.samples is not stored any more', { missing }));
  expect(await database.pool.fail(losing.taskId, losing.attempt, gone)).toBe('retrying');
  // Another one that finds the same finds the inspection under way: nothing is begun a second time.
  const again = await claimed();
  expect(again).toMatchObject({ taskId: inspect.taskId, attempt: 2, kind: 'inspect' });
  expect(await claimNext(database)).toBeNull();
  expect(await succeed(running, ['factors'])).toBe(true);
  expect(await claimNext(database)).toBeNull();
  expect(await database.jobs.get(DEFAULT_TEAM, id)).toMatchObject({ progress: { layersDone: 1, layersTotal: LAYERS } });
  expect(await succeed(again, ['layer-0.samples', 'curves.json'])).toBe(true);
  const left = new Set<number | null>();
  for (let i = 0; i < LAYERS - 1; i++) {
    const layer = await claimed();
    left.add(layer.layer);
    expect(await succeed(layer, ['factors'])).toBe(true);
  }
  expect(left.size).toBe(LAYERS - 1);
  expect(left.has(running.layer)).toBe(false);
  expect((await finishNext(database, LAYERS)).kind).toBe('assemble');
  expect((await finishNext(database, LAYERS)).kind).toBe('evaluate');
  expect(await database.jobs.get(DEFAULT_TEAM, id)).toMatchObject({
    status: 'succeeded',
    progress: { layersDone: LAYERS, layersTotal: LAYERS },
  });
});
