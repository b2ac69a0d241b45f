import { until } from '../support/until.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Assignment } from '../../src/jobs/tasks.js';
import { claimNext, finishNext } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { expectProblem, startService, submit, watchersOf, type TestService } from './support/service.js';

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

interface Job {
  id: string;
  status: string;
}
const get = (id: string, headers: Record<string, string> = {}) => service.call('GET', `/jobs/${id}`, { headers });
const etagOf = async (id: string) => String((await get(id)).headers.etag);

/** Runs every task of the only open job. */
async function finish(id: string) {
  for (let i = 0; i < 20; i++) {
    if ((await get(id)).json<Job>().status === 'succeeded') return;
    await finishNext(service.database, 2);
  }
}
/** As a worker does whose job is canceled. */
const letGo = async (task: Assignment | null) => {
  if (task !== null) await service.database.pool.requeue(task.taskId, task.attempt);
};
const failNext = async () => {
  const task = await claimNext(service.database);
  if (task === null) throw new Error('no task');
  const error = {
    code: 'invalid_model',
    detail: 'NaN in the weights',
    origin: 'input',
    layer: 'conv1',
    faults: [],
  } as const;
  await service.database.pool.fail(task.taskId, task.attempt, { ...error, faults: [] });
};

describe('GET /jobs/{id}', () => {
  test('is 404 for another team, 401 without a key, 403 without the scope', async () => {
    const id = await submit(service);
    const url = `/jobs/${id}`;
    expect((await get(id)).json()).toMatchObject({ id, status: 'queued' });
    expectProblem(await service.call('GET', url, { key: service.keys.stranger }), 404, 'not_found');
    expectProblem(await service.call('GET', '/jobs/job_none'), 404, 'not_found');
    expectProblem(await service.call('GET', url, { key: null }), 401, 'unauthorized');
    expectProblem(await service.call('GET', url, { key: service.keys.writer }), 403, 'forbidden');
    await service.call('POST', `${url}/cancel`);
  });

  test('is 304 until something happens', async () => {
    const id = await submit(service);
    const etag = await etagOf(id);
    const same = await get(id, { 'if-none-match': etag });
    expect([same.statusCode, same.body, same.headers.etag]).toEqual([304, '', etag]);
    expect(Number(same.headers['retry-after'])).toBeGreaterThan(0);
    const whole = await get(id);
    for (const name of ['etag', 'retry-after', 'cache-control', 'vary'])
      expect([name, same.headers[name]]).toEqual([name, whole.headers[name]]);
    // What guards pages is on every answer that has something to show.
    const guards = async (headers: Record<string, string>) =>
      (await get(id, headers)).headers['content-security-policy'] !== undefined;
    expect([await guards({}), await guards({ 'if-none-match': '"old"' })]).toEqual([true, true]);
    expect(await guards({ 'if-none-match': etag })).toBe(false);
    const stranger = { key: service.keys.stranger, headers: { 'if-none-match': etag } };
    expectProblem(await service.call('GET', `/jobs/${id}`, stranger), 404, 'not_found');
    const task = await claimNext(service.database);
    // Workers are other processes: what they do is seen once the database has said so.
    const poll = () => get(id, { 'if-none-match': `"other", ${etag}` });
    await until('the claim is seen', async () => (await poll()).statusCode === 200);
    expect((await poll()).json<Job>().status).toBe('running');
    await service.call('POST', `/jobs/${id}/cancel`);
    await letGo(task);
  });

  test('Prefer: wait answers when the status changes', async () => {
    const id = await submit(service);
    const started = Date.now();
    const watched = watchersOf(service, id);
    const waiting = get(id, { prefer: 'wait=20' });
    await until('it waits', () => watched() === 1);
    await service.call('POST', `/jobs/${id}/cancel`);
    const response = await waiting;
    expect([response.statusCode, response.json<Job>().status]).toEqual([200, 'canceled']);
    expect(response.headers['preference-applied']).toBe('wait=20');
    // Woken by the notification, not by the look every 5 seconds.
    expect(Date.now() - started).toBeLessThan(4000);
  });

  test('Prefer: wait answers at once what the client of the ETag has not seen', async () => {
    const id = await submit(service);
    const etag = await etagOf(id);
    await service.call('POST', `/jobs/${id}/cancel`);
    const started = Date.now();
    const response = await get(id, { 'if-none-match': etag, prefer: 'wait=20' });
    expect([response.statusCode, response.json<Job>().status]).toEqual([200, 'canceled']);
    expect(Date.now() - started).toBeLessThan(4000);
  });

  test('Prefer: wait is over after its seconds, 304 when nothing changed, and asks for 60 at most', async () => {
    const id = await submit(service);
    // The place in the queue may still change, as the jobs of earlier tests leave the picture that all polls share.
    await until('nothing changes any more', async () => {
      const response = await get(id, { 'if-none-match': await etagOf(id), prefer: 'respond-async, wait=1' });
      expect(response.headers['preference-applied']).toBe('wait=1');
      return response.statusCode === 304;
    });
    await service.call('POST', `/jobs/${id}/cancel`);
    expect((await get(id, { prefer: 'wait=500' })).headers['preference-applied']).toBe('wait=60');
  });

  test.each(['revoked', 'expired'])('Prefer: wait does not outlive its key: %s', async (how) => {
    const id = await submit(service);
    const seconds = how === 'expired' ? 1.5 : 3600;
    const { id: keyId, key } = (
      await service.call('POST', '/teams/self/keys', {
        payload: { name: how, scopes: ['jobs:read'], expires_at: new Date(Date.now() + seconds * 1000).toISOString() },
      })
    ).json<{ id: string; key: string }>();
    const watched = watchersOf(service, id);
    const waiting = service.call('GET', `/jobs/${id}`, { key: `Bearer ${key}`, headers: { prefer: 'wait=50' } });
    const other = get(id, { prefer: 'wait=50' });
    await until('both wait', () => watched() === 2);
    const started = Date.now();
    if (how === 'revoked')
      expect((await service.call('DELETE', `/teams/self/keys/${keyId}`)).statusCode).toBeLessThan(300);
    const response = await waiting;
    expectProblem(response, 401, 'unauthorized');
    const later = await service.call('GET', `/jobs/${id}`, { key: `Bearer ${key}` });
    expect(response.json<{ detail: string }>().detail).toBe(later.json<{ detail: string }>().detail);
    expect(Date.now() - started).toBeLessThan(9_000);
    await service.call('POST', `/jobs/${id}/cancel`);
    expect((await other).json<Job>().status).toBe('canceled');
  });

  test('Prefer: wait tells nothing of a job to a key that was revoked just before its end', async () => {
    const id = await submit(service);
    const { id: keyId, key } = (
      await service.call('POST', '/teams/self/keys', { payload: { name: 'gone', scopes: ['jobs:read'] } })
    ).json<{ id: string; key: string }>();
    const watched = watchersOf(service, id);
    const waiting = service.call('GET', `/jobs/${id}`, { key: `Bearer ${key}`, headers: { prefer: 'wait=50' } });
    await until('it waits', () => watched() === 1);
    await service.call('DELETE', `/teams/self/keys/${keyId}`);
    await service.call('POST', `/jobs/${id}/cancel`);
    expectProblem(await waiting, 401, 'unauthorized');
  });

  test('shows metrics, verdict and artifacts of a finished job, and no Retry-After', async () => {
    const id = await submit(service);
    await finish(id);
    const response = await get(id);
    expect(response.headers['retry-after']).toBeUndefined();
    expect(response.json()).toMatchObject({
      status: 'succeeded',
      queue: null,
      progress: { fraction: 1, layers_done: 2, layers_total: 2 },
      metrics: { parameters: { before: 100, after: 25, ratio: 4 } },
      verdict: { passed: true, checks: [] },
      artifacts: [{ name: 'model.onnx', url: `/jobs/${id}/artifacts/model.onnx` }, { name: 'report.json' }],
    });
  });

  test('shows the layer that a failed job failed at; our own failures only by their code', async () => {
    const id = await submit(service);
    await failNext();
    expect((await get(id)).json()).toMatchObject({
      status: 'failed',
      error: { code: 'invalid_model', detail: 'NaN in the weights', origin: 'input', layer: 'conv1' },
    });
  });
});

describe('GET /jobs/{id}/layers', () => {
  test('is the ledger, empty before the model was inspected', async () => {
    const id = await submit(service);
    expect((await service.call('GET', `/jobs/${id}/layers`)).json()).toEqual({ data: [] });
    await finish(id);
    const rows = (await service.call('GET', `/jobs/${id}/layers`)).json<{ data: object[] }>().data;
    expect(rows).toHaveLength(2);
    expect(rows[0]).toMatchObject({ index: 0, name: 'conv0', decision: 'compressed', relative_error: 0.1, rank: 8 });
    expectProblem(await service.call('GET', `/jobs/${id}/layers`, { key: service.keys.stranger }), 404, 'not_found');
  });
});

describe('cancel, retry, delete', () => {
  test('cancel is idempotent: 200 when it is canceled, 202 while a worker has it', async () => {
    const id = await submit(service);
    const cancel = (key?: string) => service.call('POST', `/jobs/${id}/cancel`, key === undefined ? {} : { key });
    expectProblem(await cancel(service.keys.stranger), 404, 'not_found');
    expectProblem(await cancel(service.keys.reader), 403, 'forbidden');
    const task = await claimNext(service.database);
    for (let i = 0; i < 2; i++) {
      const response = await cancel();
      expect([response.statusCode, response.json<Job>().status]).toEqual([202, 'canceling']);
    }
    await letGo(task);
    expect((await get(id)).json<Job>().status).toBe('canceled');
    const queued = await submit(service);
    for (let i = 0; i < 2; i++) {
      const response = await service.call('POST', `/jobs/${queued}/cancel`);
      expect([response.statusCode, response.json<Job>().status]).toEqual([200, 'canceled']);
    }
  });

  test('retry queues a failed job again and is 409 for any other', async () => {
    const id = await submit(service);
    const retry = () => service.call('POST', `/jobs/${id}/retry`);
    expectProblem(await retry(), 409, 'conflict');
    await failNext();
    const response = await retry();
    expect([response.statusCode, response.json<Job>().status]).toEqual([202, 'queued']);
    expectProblem(await service.call('POST', '/jobs/job_none/retry'), 404, 'not_found');
    await finish(id);
    expectProblem(await retry(), 409, 'conflict');
  });

  test('delete removes a finished job with its files, and nothing else', async () => {
    const id = await submit(service);
    const remove = (key = service.keys.all) => service.call('DELETE', `/jobs/${id}`, { key });
    expectProblem(await remove(), 409, 'conflict');
    await finish(id);
    const { Readable } = await import('node:stream');
    await service.storage.put(`jobs/${id}/work/a`, Readable.from([Buffer.from('a')]));
    await service.storage.put('jobs/job_other/work/a', Readable.from([Buffer.from('a')]));
    expectProblem(await remove(service.keys.stranger), 404, 'not_found');
    const response = await remove();
    expect([response.statusCode, response.body]).toEqual([204, '']);
    expect(await service.storage.head(`jobs/${id}/work/a`)).toBeNull();
    expect(await service.storage.head('jobs/job_other/work/a')).not.toBeNull();
    expectProblem(await get(id), 404, 'not_found');
    expectProblem(await remove(), 404, 'not_found');
  });
});
