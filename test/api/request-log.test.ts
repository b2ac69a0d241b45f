import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { until } from '../support/until.js';
import { startService, type TestService } from './support/service.js';

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

const requests = () => service.lines.filter(({ msg }) => typeof msg === 'string' && msg.startsWith('request'));

test('one line for every request: who called what, and how it ended', async () => {
  const before = requests().length;
  const answer = await service.call('GET', '/jobs/job_x?secret=1', { headers: { 'x-request-id': 'req-7' } });
  await service.call('GET', '/jobs', { key: 'Bearer sk_wrong' });
  await service.call('GET', '/nowhere');
  await service.call('GET', '/jobs/%zz');
  await service.call('GET', '/healthz', { key: null });
  expect(answer.statusCode).toBe(404);
  const lines = requests().slice(before);
  const prefix = service.keys.all.replace('Bearer ', '').slice(0, 8);
  expect(lines).toMatchObject([
    {
      method: 'GET',
      route: '/jobs/:id',
      path: '/jobs/job_x',
      status: 404,
      team_id: 'team_default',
      key_prefix: prefix,
      request_id: 'req-7',
    },
    { route: '/jobs', status: 401, team_id: null, key_prefix: null },
    { route: 'none', path: '/nowhere', status: 404 },
    { path: '/jobs/%zz', status: 400 },
  ]);
  expect(lines[0]?.['duration_ms']).toBeGreaterThan(0);
  expect(JSON.stringify(lines)).not.toContain('secret');
});

test('a client that goes away before its answer has a line without a status', async () => {
  await service.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = service.app.server.address() as AddressInfo;
  const before = requests().length;
  const arrived = new Promise((resolve) => service.app.server.once('request', resolve));
  const call = httpRequest({
    port,
    path: '/uploads?filename=a',
    method: 'POST',
    headers: {
      authorization: service.keys.all,
      'content-type': 'application/octet-stream',
      'content-length': 1000,
    },
  });
  call.on('error', () => undefined);
  call.write('part');
  await arrived;
  call.destroy();
  await until('the line', () => requests().length > before);
  expect(requests().slice(before)).toMatchObject([{ route: '/uploads', status: null }]);
});
