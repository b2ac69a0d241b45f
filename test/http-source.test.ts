import { createHash } from 'node:crypto';
import type { lookup } from 'node:dns';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import { downloadSource } from '../src/outbound/http-source.js';
import { checkOutboundUrl } from '../src/outbound/guarded-request.js';
import { isPublicAddress } from '../src/outbound/public-address.js';

const content = Buffer.from('a model');
const sha256 = createHash('sha256').update(content).digest('hex');

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** Starts a server; `seen` collects what reached it. */
async function serve(listener: RequestListener): Promise<{ port: number; seen: string[] }> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(request.url ?? '');
    listener(request, response);
  });
  server.on('connection', () => seen.push('connection'));
  server.on('clientError', (_error, socket) => socket.destroy());
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, seen };
}

const options = { allowedHosts: 'localhost', maxBytes: 1000 };
const resolveTo = (...addresses: string[]) =>
  ((_name: string, _options: object, done: (e: null, a: { address: string; family: number }[]) => void) =>
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )) as unknown as typeof lookup;

describe('a source by URL', () => {
  test('is read from an allow-listed host, though private and plain http', async () => {
    const { port } = await serve((_request, response) => response.end(content));
    for (const allowedHosts of ['localhost', `other, LOCALHOST:${port}`]) {
      const body = await downloadSource(`http://localhost:${port}/m?signature=x`, sha256, { ...options, allowedHosts });
      expect(await buffer(body)).toEqual(content);
    }
  });

  test('never dials a name that resolves to a private address', async () => {
    const { port, seen } = await serve((_request, response) => response.end(content));
    for (const [allowedHosts, addresses] of [
      ['', ['127.0.0.1']],
      [`localhost:${port + 1}`, ['127.0.0.1']],
      ['', ['8.8.8.8', '127.0.0.1']],
      ['', ['::ffff:127.0.0.1']],
      ['', ['::1']],
    ] as const) {
      const resolve = resolveTo(...addresses);
      const done = downloadSource(`https://localhost:${port}/m`, sha256, { ...options, allowedHosts, resolve });
      await expect(done).rejects.toMatchObject({
        code: 'invalid_request',
        message: `the URL https://localhost:${port}/m resolves to an address that is not public`,
      });
    }
    expect(seen).toEqual([]);
  });

  test('speaks TLS to an https URL', async () => {
    const { port } = await serve((_request, response) => response.end(content));
    const done = downloadSource(`https://localhost:${port}/m`, sha256, options);
    await expect(done).rejects.toMatchObject({ code: 'unavailable', retryable: true });
  });

  test('follows redirects, each checked as the first was', async () => {
    const { port, seen } = await serve((request, response) => {
      const to = new URL(request.url ?? '', 'http://localhost').searchParams.get('to');
      if (to === null) response.end(content);
      else response.writeHead(302, { location: to }).end();
    });
    const open = (to: string) =>
      downloadSource(`http://localhost:${port}/a?to=${encodeURIComponent(to)}`, sha256, options);
    expect(await buffer(await open('/b'))).toEqual(content);
    for (const to of [`http://127.0.0.1:${port}/b`, 'https://169.254.169.254/latest/meta-data', 'file:///etc/passwd']) {
      await expect(open(to)).rejects.toMatchObject({ code: 'invalid_request', origin: 'input' });
    }
    expect(seen.filter((path) => path === '/b')).toHaveLength(1);
  });

  test('gives up after five redirects', async () => {
    const { port, seen } = await serve((_request, response) => response.writeHead(302, { location: '/again' }).end());
    const done = downloadSource(`http://localhost:${port}/`, sha256, options);
    await expect(done).rejects.toThrow('redirects more than 5 times');
    expect(seen.filter((path) => path.startsWith('/'))).toHaveLength(6);
  });

  test('must have the digest that was announced', async () => {
    const { port } = await serve((_request, response) => response.end('another model'));
    const body = await downloadSource(`http://localhost:${port}/m`, sha256, options);
    await expect(buffer(body)).rejects.toMatchObject({ code: 'digest_mismatch', origin: 'input' });
  });

  test('must fit, with and without an announced length', async () => {
    const { port } = await serve((request, response) => {
      if (request.url === '/known') response.setHeader('content-length', 2000);
      response.end(Buffer.alloc(2000));
    });
    const fault = { code: 'payload_too_large', origin: 'input' };
    await expect(downloadSource(`http://localhost:${port}/known`, sha256, options)).rejects.toMatchObject(fault);
    const { port: chunked } = await serve((_request, response) => {
      response.write(Buffer.alloc(900));
      response.end(Buffer.alloc(900));
    });
    const body = await downloadSource(`http://localhost:${chunked}/`, sha256, options);
    await expect(buffer(body)).rejects.toMatchObject(fault);
  });

  test.each([
    [404, 'invalid_request', 'input'],
    [403, 'invalid_request', 'input'],
    [500, 'unavailable', 'infrastructure'],
    [429, 'unavailable', 'infrastructure'],
  ])('answered with %i is %s', async (status, code, origin) => {
    const { port } = await serve((_request, response) => response.writeHead(status).end());
    const done = downloadSource(`http://localhost:${port}/m?signature=secret`, sha256, options);
    await expect(done).rejects.toMatchObject({ code, origin, message: expect.not.stringContaining('secret') });
  });

  test('that breaks off, is silent or refuses to connect is worth another attempt', async () => {
    const { port } = await serve((request, response) => {
      if (request.url === '/silent') return;
      response.writeHead(200, { 'content-length': 100 });
      response.write('half', () => {
        if (request.url === '/broken') response.destroy();
      });
    });
    const lost = { code: 'unavailable', retryable: true };
    const open = (url: string) => downloadSource(url, sha256, { ...options, silenceMs: 200 });
    await expect(open(`http://localhost:${port}/silent`)).rejects.toMatchObject(lost);
    await expect(open('http://localhost:9/')).rejects.toMatchObject(lost);
    for (const path of ['broken', 'stalls']) {
      const body = await open(`http://localhost:${port}/${path}`);
      await expect(buffer(body)).rejects.toMatchObject(lost);
    }
  });

  test('stops when told to', async () => {
    const stop = new AbortController();
    const { port } = await serve(() => stop.abort(new Error('canceled')));
    const done = downloadSource(`http://localhost:${port}/`, sha256, { ...options, signal: stop.signal });
    await expect(done).rejects.toThrow('canceled');
  });

  test('stops when told to, in the middle of the content too', async () => {
    const { port } = await serve((_request, response) => void response.write('half'));
    const stop = new AbortController();
    const body = await downloadSource(`http://localhost:${port}/`, sha256, { ...options, signal: stop.signal });
    body.once('data', () => stop.abort());
    await expect(buffer(body)).rejects.toThrow();
  });
});

describe('a URL is refused before it is dialled', () => {
  test.each([
    ['http://example.com/m', 'is not https'],
    ['ftp://example.com/m', 'is not https'],
    ['file:///etc/passwd', 'is not https'],
    ['no url', 'cannot be read'],
    ['https://me:secret@example.com/m', 'carries credentials'],
    ['https://127.0.0.1/', 'is not a public address'],
    ['https://2130706433/', 'is not a public address'],
    ['https://0x7f.1/', 'is not a public address'],
    ['https://0177.0.0.1/', 'is not a public address'],
    ['https://169.254.169.254/', 'is not a public address'],
    ['https://[::1]/', 'is not a public address'],
    ['https://[::ffff:10.0.0.1]/', 'is not a public address'],
    ['https://[64:ff9b::7f00:1]/', 'is not a public address'],
  ])('%s %s', (url, fault) => {
    expect(() => checkOutboundUrl(url, '')).toThrow(fault);
    expect(() => checkOutboundUrl(url, '')).toThrow(expect.not.objectContaining({ message: /secret/ }));
  });

  test('and taken when it is public', () => {
    for (const url of ['https://example.com/m', 'https://8.8.8.8/m', 'https://[2606:4700::1]/m']) {
      expect(checkOutboundUrl(url, '').href).toBe(url);
    }
  });
});

test('only addresses of the public internet are public', () => {
  const outside = ['0.0.0.0', '10.1.2.3', '100.64.0.1', '172.31.255.255', '192.168.0.1', '198.18.0.1', '224.0.0.1'];
  outside.push(
    '255.255.255.255',
    '127.0.0.1',
    '169.254.169.254',
    '::1',
    '::ffff:127.0.0.1',
    '::',
    'fe80::1',
    'fc00::1',
    'fd00:ec2::254',
    'ff02::1',
    '2002:7f00:1::',
    '2001:db8::1',
  );
  expect(outside.filter(isPublicAddress)).toEqual([]);
  const inside = ['1.1.1.1', '172.32.0.1', '100.128.0.1', '192.167.255.255', '223.255.255.255', '2a00:1450::1'];
  expect(inside.filter((address) => !isPublicAddress(address))).toEqual([]);
});
