import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { readS3Url } from '../../src/storage/s3-url.js';
import { S3Storage } from '../../src/storage/s3-storage.js';

const ERROR = (code: string) => `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`;

/** What a store answers to a PUT with a condition, and to one without; a HEAD finds nothing. */
async function putNewAgainst(conditional: [number, string], plain: [number, string] = [500, 'InternalError']) {
  const puts: boolean[] = [];
  const server = createServer((request, response) => {
    request.resume();
    request.once('end', () => {
      const withCondition = request.headers['if-none-match'] === '*';
      if (request.method === 'PUT') puts.push(withCondition);
      const [status, code] = request.method === 'HEAD' ? [404, ''] : withCondition ? conditional : plain;
      response.writeHead(status, { 'content-type': 'application/xml' });
      response.end(request.method === 'HEAD' || status === 200 ? '' : ERROR(code));
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  const storage = new S3Storage(
    readS3Url(`s3://id:secret@files?endpoint=http://127.0.0.1:${String(port)}&path_style=true`),
  );
  try {
    return { created: await storage.putNew('installation.json', '{}').catch(() => 'error' as const), puts };
  } finally {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }
}

test('of two that write a new key at once in S3, the store says who was first', async () => {
  expect(await putNewAgainst([200, ''])).toEqual({ created: true, puts: [true] });
  expect(await putNewAgainst([412, 'PreconditionFailed'])).toEqual({ created: false, puts: [true] });
  expect((await putNewAgainst([409, 'ConditionalRequestConflict'])).created).toBe(false);
});

test('a store without conditional writes is written to without one; any other refusal is an error', async () => {
  const old = await putNewAgainst([501, 'NotImplemented'], [200, '']);
  expect(old.created).toBe(true);
  expect(old.puts.at(-1)).toBe(false);
  expect((await putNewAgainst([403, 'AccessDenied'], [200, ''])).created).toBe('error');
});
