import { connect } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, test, vi } from 'vitest';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { until } from '../support/until.js';
import { startService, type TestService } from './support/service.js';

/** A client that goes away before anybody reads its body leaves nothing behind: no open file, and no place taken. */

let postgres: TestPostgres;
let service: TestService;
beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres, { settings: { UPLOADS_PER_TEAM: '1' } });
  await service.app.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

const FORM = 'multipart/form-data; boundary=B';

test.each([
  ['/uploads?filename=a', 'application/octet-stream', 'abc', 201],
  ['/jobs', FORM, '--B\r\nContent-Disposition: form-data; name="spec"\r\n\r\n{', 400],
])('while its key is looked up: POST %s', async (url, type, begin, then) => {
  const { keys } = service.database;
  const find = keys.findByHash.bind(keys);
  let left: () => void = () => undefined;
  const gone = new Promise<void>((resolve) => (left = resolve));
  const asked = vi.spyOn(keys, 'findByHash').mockImplementation(async (hash) => {
    await gone;
    return find(hash);
  });
  const closed = vi.fn();
  service.app.server.once('connection', (socket) => socket.once('close', closed));
  const socket = connect(Number(new URL(service.app.listeningOrigin).port), '127.0.0.1');
  await once(socket, 'connect');
  const head = `POST ${url} HTTP/1.1\r\nHost: a\r\nAuthorization: ${service.keys.all}\r\nContent-Type: ${type}\r\n`;
  socket.write(`${head}Content-Length: 500\r\n\r\n${begin}`);
  await until('the key is looked up', () => asked.mock.calls.length > 0);
  socket.destroy();
  await until('the client is gone', () => closed.mock.calls.length > 0);
  asked.mockRestore();
  left();
  // The one place that the team has is free again, and the request ends.
  const payload = type === FORM ? '--B--\r\n' : 'content';
  await until('another request is taken', async () => {
    const { statusCode } = await service.call('POST', url, { payload, headers: { 'content-type': type } });
    return statusCode === then;
  });
  await until(
    'nothing is on its way',
    async () => !(await service.files()).some((file) => /scratch\/|\.incoming\//.test(file)),
  );
});
