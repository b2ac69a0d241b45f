import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JobView } from '../../src/api/jobs/schema.js';
import type { LayerRow } from '../../src/jobs/results.js';
import { claimNext, finishNext, stepResult, testPlan } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { expectProblem, startService, submit, type TestService } from './support/service.js';

let postgres: TestPostgres;
let service: TestService;
beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres);
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

const targets = [{ parameter_ratio: 2 }, { speedup: 3 }];
const several = { target: undefined, targets };
const view = async (id: string) => (await service.call('GET', `/jobs/${id}`)).json<JobView>();
const layers = (id: string, query = '') => service.call('GET', `/jobs/${id}/layers${query}`);
const finish = async (tasks: number) => {
  for (let i = 0; i < tasks; i++) await finishNext(service.database, 2);
};

describe('a job with several targets', () => {
  test('shows its points from the start, and each with its own numbers and model at the end', async () => {
    const id = await submit(service, several);
    const none = { model: null, metrics: null, verdict: null, error: null };
    const queued = await view(id);
    expect(queued.points).toEqual(targets.map((target, i) => ({ point: i + 1, target, ...none })));
    expect(queued.spec).toMatchObject({ target: targets[0], targets });
    await finish(7);
    const job = await view(id);
    expect(job.status).toBe('succeeded');
    expect(job.points.map(({ point, target, model }) => ({ point, target, model }))).toEqual([
      { point: 1, target: targets[0], model: 'model.onnx' },
      { point: 2, target: targets[1], model: 'model-2.onnx' },
    ]);
    expect(job.points[0]?.metrics).toEqual(job.metrics);
    expect(job.points[0]?.verdict).toEqual(job.verdict);
  });

  test('has a ledger for every point, the first unless asked for another', async () => {
    const id = await submit(service, several);
    await finish(7);
    const ranks = async (query?: string) =>
      (await layers(id, query)).json<{ data: LayerRow[] }>().data.map(({ rank }) => rank);
    expect([await ranks(), await ranks('?point=1'), await ranks('?point=2')]).toEqual([
      [8, 8],
      [8, 8],
      [16, 8],
    ]);
    const problem = expectProblem(await layers(id, '?point=3'), 400, 'invalid_request');
    expect(problem.errors).toEqual([{ pointer: '#query/point', detail: 'the job has the points 1 to 2' }]);
    for (const bad of ['0', '9', 'two']) expectProblem(await layers(id, `?point=${bad}`), 400, 'invalid_request');
    const url = `/jobs/${id}/layers?point=2`;
    expectProblem(await service.call('GET', url, { key: service.keys.stranger }), 404, 'not_found');
  });

  test('shows why a point has no network, in words for the client', async () => {
    const id = await submit(service, several);
    await finish(1);
    const plan = testPlan(targets, 1);
    const detail = 'a speedup of 3.00 at batch 1 cannot be reached on this worker';
    const error = { code: 'unreachable_target', detail, origin: 'input', layer: null, faults: [] } as const;
    plan.points[1] = { point: 2, target: { speedup: 3 }, allocations: [], layers: [], error: { ...error, faults: [] } };
    const task = await claimNext(service.database);
    await service.database.pool.succeed(task?.taskId ?? '', task?.attempt ?? 0, { result: plan, files: [] });
    expect((await view(id)).points[1]).toMatchObject({ metrics: null, error: { code: 'unreachable_target', detail } });
    await finish(3);
    expect(await view(id)).toMatchObject({ status: 'succeeded', points: [{ model: 'model.onnx' }, { model: null }] });
  });

  test('is checked and estimated as a whole, and refused with pointers to the targets', async () => {
    const post = (change: object) =>
      service.call('POST', '/jobs?dry_run=true', {
        payload: { model: { upload: 'x' }, calibration: { upload: 'x' }, ...change },
      });
    const problem = expectProblem(await post({ targets: [{ speedup: 2 }, { speed: 3 }] }), 422, 'invalid_spec');
    expect(problem.errors?.map(({ pointer }) => pointer)).toEqual(['/targets/1']);
    const both = expectProblem(await post({ target: { speedup: 4 }, targets }), 422, 'invalid_spec');
    expect(both.errors?.map(({ pointer }) => pointer)).toEqual(['/target']);
  });
});

describe('a job with one target', () => {
  test('is as it was, and has one point with the same numbers', async () => {
    const id = await submit(service);
    await finish(6);
    const job = await view(id);
    expect(job.spec).not.toHaveProperty('targets');
    const { metrics, verdict } = job;
    expect(job.points).toEqual([
      { point: 1, target: { parameter_ratio: 4 }, model: 'model.onnx', metrics, verdict, error: null },
    ]);
    expectProblem(await layers(id, '?point=2'), 400, 'invalid_request');
  });

  test('that ended before there were points shows one all the same', async () => {
    const id = await submit(service);
    const task = await claimNext(service.database);
    if (task === null) throw new Error('no task');
    await service.database.pool.succeed(task.taskId, task.attempt, { result: stepResult(task, 2), files: [] });
    expect((await view(id)).points).toMatchObject([{ point: 1, target: { parameter_ratio: 4 }, metrics: null }]);
    await service.call('POST', `/jobs/${id}/cancel`);
  });
});

test('the description names both ways to ask', async () => {
  const document = (await service.call('GET', '/openapi.json')).json<{
    components: { schemas: Record<string, { required?: string[]; properties?: Record<string, unknown> }> };
  }>();
  const { SpecRequest, Spec, Point } = document.components.schemas;
  expect(SpecRequest?.required).not.toContain('target');
  expect(Object.keys(SpecRequest?.properties ?? {})).toEqual(expect.arrayContaining(['target', 'targets']));
  expect(Spec?.required).toContain('target');
  expect(Object.keys(Point?.properties ?? {})).toContain('verdict');
});
