import { Readable } from 'node:stream';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Storage } from '../../src/storage/storage.js';
import { finishNext, stepFile, stepResult, claimNext } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { changedStorage } from '../support/storage.js';
import { until } from '../support/until.js';
import { expectProblem, sha256, startService, submit, type TestService } from './support/service.js';

const CONTENT = '0123456789';
let postgres: TestPostgres;
let service: TestService;
let url: string;
let id: string;

/** A finished job with one artifact of ten bytes. */
async function finishedJob(target: TestService): Promise<string> {
  const job = await submit(target);
  for (let i = 0; i < 4; i++) await finishNext(target.database, 1);
  const task = await claimNext(target.database);
  if (task?.kind !== 'evaluate') throw new Error('the last task was expected');
  const key = `jobs/${job}/evaluate/model.onnx`;
  await target.storage.put(key, Readable.from([Buffer.from(CONTENT)]));
  const file = { ...stepFile('model.onnx', key), bytes: CONTENT.length, sha256: sha256(CONTENT) };
  await target.database.pool.succeed(task.taskId, task.attempt, { result: stepResult(task, 1), files: [file] });
  return job;
}

beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres);
  id = await finishedJob(service);
  url = `/jobs/${id}/artifacts/model.onnx`;
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

const get = (headers: Record<string, string> = {}) => service.call('GET', url, { headers });
const etag = `"${sha256(CONTENT)}"`;

test('the list has name, size, hash, type, path and expiry', async () => {
  const { data } = (await service.call('GET', `/jobs/${id}/artifacts`)).json<{ data: object[] }>();
  expect(data).toHaveLength(1);
  expect(data[0]).toMatchObject({ name: 'model.onnx', bytes: 10, sha256: sha256(CONTENT), url });
  expectProblem(await service.call('GET', '/jobs/job_none/artifacts'), 404, 'not_found');
  expectProblem(await service.call('GET', `/jobs/${id}/artifacts`, { key: service.keys.stranger }), 404, 'not_found');
});

describe('a download', () => {
  test('leaves no file open when the client goes away while it is opened', async () => {
    const address = await service.app.listen({ port: 0, host: '127.0.0.1' });
    const leaving = new AbortController();
    const gone = new Promise<void>((resolve) => {
      service.app.server.once('connection', (socket: Socket) => socket.once('close', () => resolve()));
    });
    const get = service.storage.get.bind(service.storage);
    let body: Readable | undefined;
    const spy = vi.spyOn(service.storage, 'get').mockImplementationOnce(async (key, range) => {
      leaving.abort();
      await gone;
      body = await get(key, range);
      return body;
    });
    const headers = { authorization: service.keys.all };
    await expect(fetch(address + url, { headers, signal: leaving.signal })).rejects.toThrow();
    await until('the file is closed', () => body?.closed === true, 5);
    spy.mockRestore();
  });

  test('is the whole file, with its ETag and its name', async () => {
    const response = await get();
    expect([response.statusCode, response.body]).toEqual([200, CONTENT]);
    expect(response.headers).toMatchObject({
      etag,
      'accept-ranges': 'bytes',
      'content-length': '10',
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment; filename="model.onnx"',
    });
  });

  test('HEAD has the same headers and no body', async () => {
    const response = await service.call('HEAD', url);
    expect([response.statusCode, response.body, response.headers['content-length']]).toEqual([200, '', '10']);
    expect(response.headers.etag).toBe(etag);
  });

  test('is 304 for who has it', async () => {
    const response = await get({ 'if-none-match': etag });
    expect([response.statusCode, response.body]).toEqual([304, '']);
  });

  test.each([
    ['bytes=0-3', '0123', 'bytes 0-3/10'],
    ['bytes=7-', '789', 'bytes 7-9/10'],
    ['bytes=-2', '89', 'bytes 8-9/10'],
    ['bytes=5-999', '56789', 'bytes 5-9/10'],
    ['bytes=-999', CONTENT, 'bytes 0-9/10'],
  ])('%s is 206', async (range, body, contentRange) => {
    const response = await get({ range });
    expect([response.statusCode, response.body, response.headers['content-range']]).toEqual([206, body, contentRange]);
    expect(response.headers['content-length']).toBe(String(body.length));
  });

  test.each(['bytes=0-1,4-5', 'lines=1-2', 'bytes=5-2', 'bytes=-'])('%s is the whole file', async (range) => {
    const response = await get({ range });
    expect([response.statusCode, response.body]).toEqual([200, CONTENT]);
  });

  test.each(['bytes=10-', 'bytes=-0', 'bytes=99-100'])('%s is 416 and says how long the file is', async (range) => {
    const response = await get({ range });
    expectProblem(response, 416, 'range_not_satisfiable');
    expect(response.headers['content-range']).toBe('bytes */10');
  });

  test('If-Range gives the part of the same file, and the whole of another', async () => {
    expect((await get({ range: 'bytes=0-1', 'if-range': etag })).statusCode).toBe(206);
    const modified = String((await get()).headers['last-modified']);
    expect((await get({ range: 'bytes=0-1', 'if-range': modified })).statusCode).toBe(206);
    expect((await get({ range: 'bytes=0-1', 'if-range': '"older"' })).body).toBe(CONTENT);
  });

  test('is 404 for another team and for a name that is not there', async () => {
    expectProblem(await service.call('GET', url, { key: service.keys.stranger }), 404, 'not_found');
    expectProblem(await service.call('GET', `/jobs/${id}/artifacts/..%2F..%2Fapi-key`), 404, 'not_found');
    expectProblem(await service.call('GET', url, { key: null }), 401, 'unauthorized');
    expectProblem(await service.call('GET', url, { key: service.keys.writer }), 403, 'forbidden');
  });

  test('redirects to where the storage presigns', async () => {
    const presigning = (local: Storage): Storage =>
      new Proxy(local, {
        get(target, name) {
          if (name === 'presign') return async (key: string) => `https://bucket.example/${key}?signed`;
          const value: unknown = Reflect.get(target, name);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        },
      });
    const remote = await startService(postgres, { storage: presigning });
    const job = await finishedJob(remote);
    const response = await remote.call('GET', `/jobs/${job}/artifacts/model.onnx`);
    expect(response.statusCode).toBe(302);
    expect(response.headers.location).toBe(`https://bucket.example/jobs/${job}/evaluate/model.onnx?signed`);
    await remote.close();
  });

  test.each([
    ['streams', (local: Storage) => local],
    ['presigns', (local: Storage) => changedStorage(local, { presign: async () => 'https://bucket.example/signed' })],
  ])('is 410 where the file is gone, from a storage that %s', async (_how, storage) => {
    const losing = await startService(postgres, { storage });
    const job = await finishedJob(losing);
    const path = `/jobs/${job}/artifacts/model.onnx`;
    const etagOf = String((await losing.call('HEAD', path)).headers.etag);
    await losing.storage.delete(`jobs/${job}/evaluate/model.onnx`);
    for (const headers of [{}, { range: 'bytes=0-1' }]) {
      const response = await losing.call('GET', path, { headers });
      expect(expectProblem(response, 410, 'gone').detail).not.toContain('jobs/');
      expect(response.headers.location).toBeUndefined();
      expect(response.headers.etag).toBeUndefined();
    }
    expect((await losing.call('HEAD', path)).statusCode).toBe(410);
    // Who has it needs nothing of the storage.
    expect((await losing.call('GET', path, { headers: { 'if-none-match': etagOf } })).statusCode).toBe(304);
    await losing.close();
  });

  test('is 410 when the file goes between the look and the opening', async () => {
    const storage = (local: Storage) =>
      changedStorage(local, { get: async (key) => local.delete(key).then(() => local.get(key)) });
    const losing = await startService(postgres, { storage });
    const job = await finishedJob(losing);
    expectProblem(await losing.call('GET', `/jobs/${job}/artifacts/model.onnx`), 410, 'gone');
    await losing.close();
  });
});
