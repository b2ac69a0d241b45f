import { createHash } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import { InfrastructureError } from '../../src/errors/index.js';
import { createJob, newJob } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { until } from '../support/until.js';
import { form } from './support/form.js';
import { expectProblem, sha256, startService, submit, upload, type TestService } from './support/service.js';

let postgres: TestPostgres;
let service: TestService;

beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres, { settings: { MAX_UPLOAD_BYTES: '60000000' } });
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

const octets = { 'content-type': 'application/octet-stream' };
const digest = (content: string) => `sha-256=:${createHash('sha256').update(content).digest('base64')}:`;
const storedFiles = async () => (await service.files()).filter((name) => name.startsWith('storage'));

describe('POST /uploads', () => {
  test('answers 201 with the hash, the size, and where the upload is', async () => {
    const response = await service.call('POST', '/uploads?filename=net.onnx', { payload: 'hello', headers: octets });
    expect(response.statusCode).toBe(201);
    const body = response.json<{ id: string }>();
    expect(body).toMatchObject({ object: 'upload', sha256: sha256('hello'), bytes: 5, filename: 'net.onnx' });
    expect(body.id).toMatch(/^upl_/);
    expect(response.headers.location).toBe(`/uploads/${body.id}`);
    expect((await service.call('GET', `/uploads/${body.id}`)).json()).toEqual(body);
  });

  test('takes the bytes whatever content type the client calls them', async () => {
    for (const type of ['application/json', 'application/x-www-form-urlencoded', 'text/plain']) {
      const response = await service.call('POST', '/uploads', { payload: '{', headers: { 'content-type': type } });
      expect([response.statusCode, response.json<{ bytes: number }>().bytes]).toEqual([201, 1]);
    }
  });

  test('stores the same content of a team once', async () => {
    const first = await upload(service, 'twice');
    const before = await storedFiles();
    expect(await upload(service, 'twice', 'other-name.bin')).toBe(first);
    expect(await storedFiles()).toEqual(before);
  });

  test('keeps the content of teams apart', async () => {
    const own = await upload(service, 'shared content');
    const headers = { ...octets, authorization: service.keys.stranger };
    const other = await service.call('POST', '/uploads', { payload: 'shared content', headers });
    expect(other.json<{ id: string }>().id).not.toBe(own);
  });

  test('verifies Repr-Digest', async () => {
    const send = (value: string) =>
      service.call('POST', '/uploads', { payload: 'verified', headers: { ...octets, 'repr-digest': value } });
    expect((await send(digest('verified'))).statusCode).toBe(201);
    expect((await send(`sha-512=:AAAA:, ${digest('verified')}`)).statusCode).toBe(201);
    const before = await storedFiles();
    expectProblem(await send(digest('something else')), 400, 'digest_mismatch');
    expectProblem(await send('sha-256=:too-short:'), 400, 'invalid_request');
    expect(await storedFiles()).toEqual(before);
  });

  test('refuses an empty body, a form, a compressed body and a bad filename', async () => {
    expectProblem(await service.call('POST', '/uploads', { headers: octets }), 400, 'invalid_request');
    const send = (headers: Record<string, string>, url = '/uploads') =>
      service.call('POST', url, { payload: 'x', headers: { ...octets, ...headers } });
    expectProblem(await send({ 'content-type': 'multipart/form-data; boundary=x' }), 415, 'unsupported_media_type');
    expectProblem(await send({ 'content-encoding': 'gzip' }), 415, 'unsupported_media_type');
    const problem = expectProblem(await send({}, '/uploads?filename=..%2Fpasswd'), 400, 'invalid_request');
    expect(problem.errors?.[0]?.pointer).toBe('#query/filename');
  });

  test('refuses a body that announces more than the limit before reading it', async () => {
    const headers = { ...octets, 'content-length': '60000001' };
    const problem = expectProblem(
      await service.call('POST', '/uploads', { payload: 'x', headers }),
      413,
      'payload_too_large',
    );
    expect(problem.detail).toContain('MAX_UPLOAD_BYTES');
  });

  test('needs a key that may write', async () => {
    expectProblem(
      await service.call('POST', '/uploads', { payload: 'x', headers: octets, key: null }),
      401,
      'unauthorized',
    );
    const reader = { payload: 'x', headers: octets, key: service.keys.reader };
    expectProblem(await service.call('POST', '/uploads', reader), 403, 'forbidden');
  });
});

describe('over a socket', () => {
  const CHUNK = Buffer.alloc(1 << 20, 7);
  let port: number;
  beforeAll(async () => {
    await service.app.listen({ host: '127.0.0.1', port: 0 });
    const address = service.app.server.address();
    port = typeof address === 'object' && address !== null ? address.port : 0;
  });

  const open = () =>
    httpRequest({ port, path: '/uploads', method: 'POST', headers: { ...octets, authorization: service.keys.all } });
  const answer = (request: ReturnType<typeof open>) =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      request.on('error', reject);
      request.on('response', async (response) => {
        let body = '';
        for await (const chunk of response) body += String(chunk);
        resolve({ status: response.statusCode ?? 0, body });
      });
    });
  async function write(request: ReturnType<typeof open>, chunks: number) {
    for (let i = 0; i < chunks; i++) {
      if (!request.write(CHUNK)) await new Promise((resolve) => request.once('drain', resolve));
    }
  }

  test('holds little of a large body in memory', async () => {
    const request = open();
    const done = answer(request);
    const before = process.memoryUsage().arrayBuffers;
    let peak = 0;
    for (let i = 0; i < 57; i++) {
      await write(request, 1);
      peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
    }
    request.end();
    const { status, body } = await done;
    expect([status, (JSON.parse(body) as { bytes: number }).bytes]).toEqual([201, 57 << 20]);
    // Client and server are this one process; garbage that is not collected yet (the runtime lets 32 MiB of it pile up)
    // counts too.
    expect(peak).toBeLessThan(44 << 20);
  });

  test('stops a body without a length at the limit, and keeps nothing of it', async () => {
    const before = await storedFiles();
    const request = open();
    const done = answer(request);
    await write(request, 60);
    request.end();
    const { status, body } = await done;
    expect([status, (JSON.parse(body) as { code: string }).code]).toEqual([413, 'payload_too_large']);
    expect(await storedFiles()).toEqual(before);
  });

  test('keeps nothing of an upload that the client gave up', async () => {
    const before = await storedFiles();
    const request = open();
    request.on('error', () => undefined);
    await write(request, 3);
    await until('the upload has begun', async () => (await storedFiles()).length > before.length);
    request.destroy();
    await until('nothing is left', async () => (await storedFiles()).length === before.length);
    expect(service.errors).toEqual([]);
  });
});

describe('HEAD and GET /uploads/{id}', () => {
  test('tell by its hash whether the team has a content', async () => {
    const id = await upload(service, 'known content');
    const url = `/uploads/sha256:${sha256('known content')}`;
    const head = await service.call('HEAD', url);
    expect([head.statusCode, head.body]).toEqual([200, '']);
    expect(head.headers['content-location']).toBe(`/uploads/${id}`);
    expect((await service.call('GET', url)).json()).toMatchObject({ id });
    expect((await service.call('HEAD', `/uploads/sha256:${sha256('never sent')}`)).statusCode).toBe(404);
    expect((await service.call('HEAD', url, { key: service.keys.stranger })).statusCode).toBe(404);
  });

  test('do not show the upload of another team', async () => {
    const id = await upload(service, 'private');
    expectProblem(await service.call('GET', `/uploads/${id}`, { key: service.keys.stranger }), 404, 'not_found');
    expectProblem(await service.call('GET', '/uploads/upl_none'), 404, 'not_found');
    expectProblem(await service.call('GET', `/uploads/${id}`, { key: service.keys.writer }), 403, 'forbidden');
  });
});

describe('DELETE /uploads/{id}', () => {
  const remove = (id: string, key?: string) =>
    service.call('DELETE', `/uploads/${id}`, key === undefined ? {} : { key });

  test('removes the row and the file, once, and frees the storage', async () => {
    const before = await service.database.teams.usage(DEFAULT_TEAM);
    const files = await storedFiles();
    const id = await upload(service, 'to be removed');
    const removed = await remove(id);
    expect([removed.statusCode, removed.body]).toEqual([204, '']);
    expect(await service.database.teams.usage(DEFAULT_TEAM)).toEqual(before);
    expect(await storedFiles()).toEqual(files);
    expectProblem(await service.call('GET', `/uploads/${id}`), 404, 'not_found');
    expectProblem(await remove(id), 404, 'not_found');
    expect(await upload(service, 'to be removed')).not.toBe(id);
  });

  test('does not touch the upload of another team, and needs a key that may write', async () => {
    const id = await upload(service, 'not yours');
    expectProblem(await remove(id, service.keys.stranger), 404, 'not_found');
    expectProblem(await remove(id, service.keys.reader), 403, 'forbidden');
    expect((await service.call('GET', `/uploads/${id}`)).statusCode).toBe(200);
  });

  test('is refused while a job that has not ended reads it', async () => {
    const { database } = service;
    const job = await createJob(database);
    const file = await database.uploads.findByHash(DEFAULT_TEAM, job.inputs.model.sha256);
    const refused = await remove(file?.id ?? '');
    expectProblem(refused, 409, 'conflict');
    expect(refused.json<{ detail: string }>().detail).toContain(job.id);
    await database.jobs.requestCancel(DEFAULT_TEAM, job.id);
    expect((await remove(file?.id ?? '')).statusCode).toBe(204);
    await expect(database.jobs.retry(DEFAULT_TEAM, job.id)).rejects.toMatchObject({ code: 'conflict' });
  });

  test('at the same time as a submission: the job has its files, or is not there', async () => {
    const { database } = service;
    const outcomes = { made: 0, refused: 0 };
    for (let i = 0; i < 20; i++) {
      const made = newJob();
      for (const file of [made.inputs.model, made.inputs.calibration])
        await database.uploads.create(DEFAULT_TEAM, file);
      const { id } = (await database.uploads.findByHash(DEFAULT_TEAM, made.inputs.model.sha256)) ?? { id: '' };
      const [job, removed] = await Promise.allSettled([
        database.jobs.create(DEFAULT_TEAM, made),
        database.uploads.remove(DEFAULT_TEAM, id),
      ]);
      // Exactly one of the two has its way.
      expect([job.status, removed.status].sort()).toEqual(['fulfilled', 'rejected']);
      for (const one of [job, removed])
        if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'conflict' });
      outcomes[job.status === 'fulfilled' ? 'made' : 'refused']++;
      if (job.status === 'fulfilled') await database.jobs.requestCancel(DEFAULT_TEAM, job.value.id);
    }
    console.log(`${outcomes.made} jobs were made, ${outcomes.refused} lost their upload first`);
  });
});

test('an upload whose row may have been written although nobody was told keeps its file', async () => {
  const content = 'whose commit was not answered';
  const create = service.database.uploads.create.bind(service.database.uploads);
  const lost = vi.spyOn(service.database.uploads, 'create').mockImplementationOnce(async (...args) => {
    await create(...args);
    throw new InfrastructureError('unavailable', 'the database does not answer');
  });
  const headers = { 'content-type': 'application/octet-stream' };
  expectProblem(await service.call('POST', '/uploads', { payload: content, headers }), 503, 'unavailable');
  lost.mockRestore();
  const id = await upload(service, content);
  const { key } = (await service.database.uploads.get(DEFAULT_TEAM, id)) ?? { key: '' };
  expect((await service.files()).filter((path) => path.endsWith(key))).toHaveLength(1);
});

describe('content that the storage has lost', () => {
  const keyOf = async (id: string) => (await service.database.uploads.get(DEFAULT_TEAM, id))?.key ?? '';
  const spec = (model: string, calibration: string) => ({
    model: { upload: model },
    calibration: { upload: calibration },
    target: { parameter_ratio: 4 },
  });

  test.each([
    ['gone', async (key: string) => service.storage.delete(key)],
    ['cut short', async (key: string) => void (await service.storage.put(key, Readable.from([Buffer.from('x')])))],
  ])('is said to be lost when it is %s, and is kept when it comes again', async (how, lose) => {
    const content = `a model that will be ${how}`;
    const id = await upload(service, content, 'model.onnx');
    const before = await storedFiles();
    const byContent = `/uploads/sha256:${sha256(content)}`;
    await lose(await keyOf(id));
    expectProblem(await service.call('GET', `/uploads/${id}`), 410, 'gone');
    expect((await service.call('HEAD', `/uploads/${id}`)).statusCode).toBe(410);
    expectProblem(await service.call('GET', byContent), 404, 'not_found');
    expect((await service.call('HEAD', byContent)).statusCode).toBe(404);

    expect(await upload(service, content, 'model.onnx')).toBe(id);
    expect((await service.call('HEAD', byContent)).statusCode).toBe(200);
    expect((await service.call('GET', `/uploads/${id}`)).statusCode).toBe(200);
    expect(await text(await service.storage.get(await keyOf(id)))).toBe(content);
    expect(await storedFiles()).toHaveLength(before.length);
  });

  test('is refused as the source of a job, with the pointer, until it comes again; a form brings it along', async () => {
    const [model, samples] = [await upload(service, 'lost model', 'm.onnx'), await upload(service, 'samples', 's.npz')];
    await service.storage.delete(await keyOf(model));
    const refused = await service.call('POST', '/jobs', { payload: spec(model, samples) });
    expect(expectProblem(refused, 422, 'invalid_spec').errors).toMatchObject([{ pointer: '/model/upload' }]);
    await upload(service, 'lost model');
    expect((await service.call('POST', '/jobs', { payload: spec(model, samples) })).statusCode).toBe(202);

    await service.storage.delete(await keyOf(model));
    const { calibration, target } = spec(model, samples);
    const parts = [
      { name: 'spec', content: JSON.stringify({ calibration, target }) },
      { name: 'model', content: 'lost model', filename: 'm.onnx' },
    ];
    expect((await service.call('POST', '/jobs', form(parts))).statusCode).toBe(202);
    expect(await service.storage.head(await keyOf(model))).not.toBeNull();
  });

  test('keeps a failed job from being tried again, with the pointer, until it comes again', async () => {
    const id = await submit(service);
    await service.call('POST', `/jobs/${id}/cancel`);
    const job = await service.database.jobs.get(DEFAULT_TEAM, id);
    await service.storage.delete(job?.inputs.model.key ?? '');
    const problem = expectProblem(await service.call('POST', `/jobs/${id}/retry`), 409, 'conflict');
    expect(problem.errors).toMatchObject([{ pointer: '/model' }]);
    expect(problem.detail).toContain(job?.inputs.model.sha256);
    await upload(service, 'a model', 'model.onnx');
    expect((await service.call('POST', `/jobs/${id}/retry`)).statusCode).toBe(202);
  });
});
