import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ensureBootstrapKey, keyFile } from '../../src/service/bootstrap-key.js';
import { hashKey } from '../../src/api/plugins/auth.js';
import { readConfig } from '../../src/config/index.js';
import { InfrastructureError } from '../../src/errors/index.js';
import type { Storage } from '../../src/storage/storage.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { expectProblem, startService, type TestService } from './support/service.js';

let postgres: TestPostgres;
let service: TestService;
let storageDown = false;

const failing = (local: Storage): Storage => ({
  ...local,
  head: (key) => local.head(key),
  put: async () => {
    throw new Error('secret-host:9000 refused the password hunter2');
  },
  check: async () => {
    if (storageDown) throw new InfrastructureError('storage_unavailable', 'no bucket at secret-host');
  },
});

beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres, { storage: failing });
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

test('/healthz needs no key', async () => {
  const response = await service.call('GET', '/healthz', { key: null });
  expect([response.statusCode, response.json<{ status: string }>().status]).toEqual([200, 'ok']);
  expect(response.headers['x-content-type-options']).toBe('nosniff');
});

test('however many ask without a key, /metrics and /readyz look at the backends once at a time', async () => {
  const [overview, check] = [vi.spyOn(service.database.pool, 'overview'), vi.spyOn(service.database, 'check')];
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, i) => service.call('GET', i % 2 === 0 ? '/metrics' : '/readyz', { key: null })),
  );
  expect(answers.map(({ statusCode }) => statusCode)).toEqual(answers.map(() => 200));
  expect(answers.filter(({ body }) => body.includes('sparank_backend_up{backend="postgres"} 1'))).toHaveLength(25);
  expect(overview.mock.calls.length).toBeLessThanOrEqual(2);
  expect(check.mock.calls.length).toBeLessThanOrEqual(2);
  vi.restoreAllMocks();
});

test('/readyz is about this process: it answers without queue and storage, and not without PostgreSQL', async () => {
  const checks = { postgres: 'ok', queue: 'ok', storage: 'ok' };
  const ask = async () => {
    const { statusCode, body } = await service.call('GET', '/readyz', { key: null });
    return [statusCode, JSON.parse(body) as unknown];
  };
  expect(await ask()).toEqual([200, { status: 'ok', checks }]);
  storageDown = true;
  expect(await ask()).toEqual([200, { status: 'degraded', checks: { ...checks, storage: 'failing' } }]);
  storageDown = false;
  const check = vi.spyOn(service.database, 'check').mockRejectedValue(new Error('secret-host'));
  expect(await ask()).toEqual([503, { status: 'failing', checks: { ...checks, postgres: 'failing' } }]);
  check.mockRestore();
});

test('/metrics has request durations by route and the depth of the queue', async () => {
  await service.call('GET', '/jobs/job_none');
  const text = (await service.call('GET', '/metrics', { key: null })).body;
  expect(text).toMatch(
    /sparank_http_request_duration_seconds_count\{method="GET",route="\/jobs\/:id",status="404"\} 1/,
  );
  expect(text).toMatch(/sparank_queue_messages\{state="waiting"\} 0/);
  expect(text).not.toContain('job_none');
});

test('/openapi.json is OpenAPI 3.1 with every call, named schemas and no dangling reference', async () => {
  const response = await service.call('GET', '/openapi.json', { key: null });
  const document = response.json<{ openapi: string; paths: Record<string, object>; components: { schemas: object } }>();
  expect(document.openapi).toBe('3.1.0');
  const calls = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(calls).toEqual(
    expect.arrayContaining([
      'POST /uploads',
      'GET /uploads/{id}',
      'POST /jobs',
      'GET /jobs',
      'GET /jobs/{id}',
      'GET /jobs/{id}/layers',
      'GET /jobs/{id}/events',
      'GET /jobs/{id}/artifacts',
      'GET /jobs/{id}/artifacts/{name}',
      'POST /jobs/{id}/cancel',
      'POST /jobs/{id}/retry',
      'DELETE /jobs/{id}',
      'GET /pool',
      'GET /healthz',
      'GET /readyz',
      'GET /metrics',
    ]),
  );
  const names = Object.keys(document.components.schemas);
  expect(names).toEqual(expect.arrayContaining(['Job', 'Spec', 'Upload', 'Problem', 'LayerRow', 'Event', 'Pool']));
  for (const [, name] of response.body.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) expect(names).toContain(name);
  expect((await service.call('GET', '/docs/', { key: null })).statusCode).toBe(200);
});

describe('errors', () => {
  test('an unknown path, a wrong method and a broken URL are problems', async () => {
    expectProblem(await service.call('GET', '/nothing?x=1', { key: null }), 404, 'not_found');
    expectProblem(await service.call('PUT', '/jobs'), 404, 'not_found');
    expectProblem(await service.call('GET', '/jobs/%zz'), 400, 'invalid_request');
    expectProblem(await service.call('GET', `/jobs/${'a'.repeat(400)}`), 414, 'invalid_request');
  });

  test('a file of the documentation that cannot be given as asked for is a problem of the client', async () => {
    const css = '/docs/static/index.css';
    const ask = (headers: Record<string, string>) => service.call('GET', css, { key: null, headers });
    expectProblem(await ask({ 'if-match': '"x"' }), 412, 'invalid_request');
    expectProblem(await ask({ range: 'bytes=999999999-' }), 416, 'range_not_satisfiable');
  });

  test('a failure of ours says nothing about the inside; the log has it under the request id', async () => {
    const headers = { 'content-type': 'application/octet-stream', 'x-request-id': 'req-1' };
    const response = await service.call('POST', '/uploads', { payload: 'x', headers });
    expectProblem(response, 500, 'internal');
    expect(response.body).not.toMatch(/hunter2|secret-host/);
    expect(response.headers['x-request-id']).toBe('req-1');
    expect(
      service.errors.some((line) => line['request_id'] === 'req-1' && JSON.stringify(line).includes('hunter2')),
    ).toBe(true);
  });

  test('keys that are unknown or revoked are 401 and say how to authenticate', async () => {
    for (const key of ['Bearer nope', 'Basic abc', 'Bearer']) {
      const response = await service.call('GET', '/jobs', { key });
      expectProblem(response, 401, 'unauthorized');
      expect(response.headers['www-authenticate']).toContain('Bearer');
    }
    const record = await service.database.keys.findByHash(hashKey(service.keys.reader.replace('Bearer ', '')));
    await service.database.keys.revoke('team_default', record?.id ?? '');
    expectProblem(await service.call('GET', '/jobs', { key: service.keys.reader }), 401, 'unauthorized');
  });
});

describe('the bootstrap key', () => {
  test('is made once, readable by its owner only, and opens the service', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sparank-key-'));
    const config = readConfig({ DATA_DIR: directory });
    const first = await ensureBootstrapKey(config, service.database.keys);
    const second = await ensureBootstrapKey(config, service.database.keys);
    expect([first?.created, second?.created, second?.key]).toEqual([true, false, first?.key]);
    expect((await stat(keyFile(config))).mode & 0o777).toBe(0o600);
    expect((await readFile(keyFile(config), 'utf8')).trim()).toBe(first?.key);
    const response = await service.call('GET', '/jobs', { key: `Bearer ${first?.key ?? ''}` });
    expect(response.statusCode).toBe(200);
    await rm(directory, { recursive: true });
  });

  test('is the one of the settings when there is one, and none with an external database', async () => {
    const key = 'a-key-of-more-than-twenty-characters';
    const given = await ensureBootstrapKey(readConfig({ BOOTSTRAP_API_KEY: key }), service.database.keys);
    expect(given).toEqual({ key, created: false });
    expect((await service.call('GET', '/pool', { key: `Bearer ${key}` })).statusCode).toBe(200);
    const external = readConfig({ DATABASE_URL: 'postgres://db/sparank' });
    expect(await ensureBootstrapKey(external, service.database.keys)).toBeNull();
  });
});
