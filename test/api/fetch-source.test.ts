import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { runSql } from '../support/teams.js';
import { expectProblem, sha256, startService, upload, type TestService } from './support/service.js';

let postgres: TestPostgres;
let service: TestService;
let server: Server;
let origin: string;
let port: number;

beforeAll(async () => {
  // What is served is the path itself: every URL has a content of its own.
  server = createServer((request, response) => {
    if (request.url === '/missing') response.writeHead(404);
    response.end(request.url === '/large' ? Buffer.alloc(2000) : request.url);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ({ port } = server.address() as AddressInfo);
  origin = `http://127.0.0.1:${port}`;
  postgres = await startPostgres();
  const settings = { URL_ALLOWED_HOSTS: `files.example, 127.0.0.1:${port}`, MAX_UPLOAD_BYTES: '1000' };
  service = await startService(postgres, { settings });
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

async function submit(url: string, hash: string) {
  const calibration = { upload: await upload(service, 'samples', 'samples.npz') };
  const payload = { model: { url, sha256: hash }, calibration, target: { parameter_ratio: 2 } };
  return service.call('POST', '/jobs', { payload });
}

test.each([
  ['/nets/net.onnx?signature=x', 'net.onnx'],
  ['/my%20net.onnx', 'my_net.onnx'],
  ['/%zz', '_zz'],
  ['/%ff%fe.onnx', '_ff_fe.onnx'],
  ['/', 'model'],
])('a model at %s of an allow-listed host, private and plain http, is kept as %s', async (path, filename) => {
  const response = await submit(`${origin}${path}`, sha256(path));
  expect(response.statusCode, response.body).toBe(202);
  const { inputs } = (await service.database.jobs.get('team_default', response.json<{ id: string }>().id)) ?? {};
  expect(inputs?.model).toMatchObject({ filename, sha256: sha256(path), bytes: path.length });
});

test.each([
  ['url', '/missing', sha256('/missing'), 'answered 404'],
  ['url', '/large', sha256(Buffer.alloc(2000)), 'MAX_UPLOAD_BYTES'],
  ['sha256', '/other', 'a'.repeat(64), sha256('/other')],
])('a fault of %s at %s is 422 with the pointer', async (field, path, hash, sentence) => {
  const problem = expectProblem(await submit(`${origin}${path}`, hash), 422, 'invalid_spec');
  expect(problem.errors).toMatchObject([{ pointer: `/model/${field}` }]);
  expect(problem.errors?.[0]?.detail).toContain(sentence);
});

test('a host that sends too slowly is given up', async () => {
  vi.spyOn(AbortSignal, 'timeout').mockImplementationOnce(() => AbortSignal.abort());
  const problem = expectProblem(await submit(`${origin}/slow`, sha256('/slow')), 422, 'invalid_spec');
  expect(problem.errors).toMatchObject([{ pointer: '/model/url', detail: expect.stringContaining('900 s') as string }]);
});

test.each([
  ['https://localhost/m.onnx', 'not public'],
  ['https://127.0.0.1/', 'not a public address'],
  ['https://[::1]/', 'not a public address'],
  ['https://0x7f000001/', 'not a public address'],
  ['http://example.com/', 'is not https'],
  ['https://u:secret@example.com/', 'carries credentials'],
])('%s is never dialled, on another port than the allowed one neither', async (url, sentence) => {
  const problem = expectProblem(await submit(url, 'b'.repeat(64)), 422, 'invalid_spec');
  expect(problem.errors).toMatchObject([{ pointer: '/model/url' }]);
  expect(problem.errors?.[0]?.detail).toContain(sentence);
  expect(problem.errors?.[0]?.detail).not.toContain('secret');
});

test('a file is fetched only as far as the team has room for it', async () => {
  const calibration = { upload: await upload(service, 'samples', 'samples.npz') };
  await runSql(service.database.url, 'update teams set max_storage_bytes = 500');
  const model = { url: `${origin}/large`, sha256: sha256(Buffer.alloc(2000)) };
  const payload = { model, calibration, target: { parameter_ratio: 2 } };
  const problem = expectProblem(await service.call('POST', '/jobs?dry_run=true', { payload }), 422, 'limit_exceeded');
  expect(problem.detail).toMatch(/^storage_bytes: /);
});
