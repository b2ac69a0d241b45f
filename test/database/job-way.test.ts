import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import { createJob, finishNext, claimNext } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

describe('the way of a job', () => {
  it('does not depend on the clock of the process that takes it a step further', async () => {
    const database = await postgres.open();
    await createJob(database);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3600_000 });
    try {
      await finishNext(database, 1);
    } finally {
      vi.useRealTimers();
    }
    expect((await claimNext(database))?.kind).toBe('plan');
  });

  it('goes from inspect to evaluate, layer by layer, and keeps ledger, events, artifacts, metrics and clocks', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database, { labels: { pipeline: 'nightly' } });
    const kinds: string[] = [];
    const versions = new Set<number>();
    const fractions: number[] = [];
    for (let step = 0; step < 6; step++) {
      const { kind, layer } = await finishNext(database, 2);
      kinds.push(layer === null ? kind : `${kind} ${layer}`);
      const job = await database.jobs.get(DEFAULT_TEAM, id);
      versions.add(job?.version ?? 0);
      fractions.push(job?.progress.fraction ?? 0);
    }
    expect(kinds).toEqual(['inspect', 'plan', 'layer 0', 'layer 1', 'assemble', 'evaluate']);
    expect(await claimNext(database)).toBeNull();
    expect(versions.size).toBe(6);
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
    expect(fractions.at(-1)).toBe(1);

    const job = await database.jobs.get(DEFAULT_TEAM, id);
    expect(job).toMatchObject({
      status: 'succeeded',
      phase: 'evaluate',
      labels: { pipeline: 'nightly' },
      progress: { fraction: 1, layersDone: 2, layersTotal: 2, etaSeconds: null },
      verdict: { passed: true, checks: [] },
      error: null,
    });
    expect(job?.seconds.running).toBeGreaterThan(0);
    expect(job?.metrics?.seconds.device).toBeCloseTo(job?.seconds.device ?? 0, 1);
    expect(job?.finishedAt?.getTime()).toBeGreaterThanOrEqual(job?.startedAt?.getTime() ?? Infinity);

    const layers = await database.layers.list(DEFAULT_TEAM, id);
    expect(layers?.map(({ index, status, worker_id, attempt }) => [index, status, worker_id, attempt])).toEqual([
      [0, 'done', 'wrk_test', 1],
      [1, 'done', 'wrk_test', 1],
    ]);
    const events = await database.events.list(DEFAULT_TEAM, id, { limit: 100 });
    expect(events?.data.map((event) => event.type)).toEqual([
      'job.created',
      'job.started',
      'job.phase',
      'job.phase',
      'layer.started',
      'layer.finished',
      'layer.started',
      'layer.finished',
      'job.phase',
      'job.phase',
      'job.succeeded',
    ]);
    const artifacts = await database.artifacts.list(DEFAULT_TEAM, id);
    expect(artifacts?.map(({ name, contentType }) => [name, contentType])).toEqual([
      ['model.onnx', 'application/octet-stream'],
      ['report.json', 'application/json'],
    ]);
  });
});
