import { createHash } from 'node:crypto';
import type { lookup, LookupAddress } from 'node:dns';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterEach, describe, expect, it, test } from 'vitest';
import { downloadSource } from '../src/outbound/http-source.js';
import { callOutbound, checkOutboundUrl, guardedLookup } from '../src/outbound/guarded-request.js';
import { isPublicAddress } from '../src/outbound/public-address.js';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function serve(
  address: string,
  port: number,
  content: string,
): Promise<{ port: number; connections: () => number }> {
  let connections = 0;
  const server = createServer((_request, response) => response.end(content));
  server.on('connection', () => connections++);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  return { port: (server.address() as AddressInfo).port, connections: () => connections };
}

/** A name server that answers something else every time, and counts. */
function changing(...answers: string[]) {
  let asked = 0;
  const resolve = ((_name: string, _options: object, done: (e: null, a: LookupAddress[]) => void) => {
    const address = answers[Math.min(asked++, answers.length - 1)] ?? '';
    done(null, [{ address, family: address.includes(':') ? 6 : 4 }]);
  }) as unknown as typeof lookup;
  return { resolve, asked: () => asked };
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const get = { method: 'GET' as const, headers: {} };

describe('a name server that changes its answer', () => {
  it('is asked once for every connection, and what was checked is what is dialled', async () => {
    const { port, connections } = await serve('127.0.0.1', 0, 'the checked one');
    const other = await serve('127.0.0.2', port, 'another one');
    const names = changing('127.0.0.1', '127.0.0.2');
    const options = { allowedHosts: `models.test:${port}`, maxBytes: 100, resolve: names.resolve };
    const body = await downloadSource(`http://models.test:${port}/m`, sha256('the checked one'), options);
    expect((await buffer(body)).toString()).toBe('the checked one');
    expect([names.asked(), connections(), other.connections()]).toEqual([1, 1, 0]);
  });

  it('gets a public address dialled as it was checked, and a private one never', async () => {
    const { port, connections } = await serve('127.0.0.1', 0, 'secret');
    const url = new URL(`https://models.test:${port}/`);
    const names = changing('93.184.216.34', '127.0.0.1', '93.184.216.34', '::ffff:127.0.0.1', '0.0.0.0');
    const guard = guardedLookup(url, { allowedHosts: '', resolve: names.resolve });
    const dialled = () =>
      new Promise<string | LookupAddress[]>((resolve, reject) =>
        guard('models.test', {}, (error, address) => (error ? reject(error) : resolve(address))),
      );
    expect(await dialled()).toBe('93.184.216.34');
    await expect(dialled()).rejects.toThrow('resolves to an address that is not public');
    expect(await dialled()).toBe('93.184.216.34');
    await expect(dialled()).rejects.toThrow('resolves to an address that is not public');
    // The second connection to a name whose first answer was public, and a whole call.
    await expect(callOutbound(url, get, { allowedHosts: '', resolve: names.resolve })).rejects.toMatchObject({
      code: 'invalid_request',
    });
    expect(names.asked()).toBe(5);
    expect(connections()).toBe(0);
  });

  it('is asked again after a redirect, to the same name too', async () => {
    const inside = await serve('127.0.0.2', 0, 'secret');
    const server = createServer((_request, response) =>
      response.writeHead(307, { location: `https://models.test:${inside.port}/secret` }).end(),
    );
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const names = changing('127.0.0.1', '127.0.0.2');
    const options = { allowedHosts: `models.test:${port}`, maxBytes: 100, resolve: names.resolve };
    await expect(downloadSource(`http://models.test:${port}/`, sha256('secret'), options)).rejects.toThrow(
      'resolves to an address that is not public',
    );
    expect([names.asked(), inside.connections()]).toEqual([2, 0]);
  });
});

test.each([
  // What a server answers for, or a cloud's metadata.
  '127.0.0.1',
  '0.0.0.0',
  '169.254.169.254',
  '169.254.170.2',
  '100.100.100.200',
  '192.0.0.192',
  '168.63.129.16',
  // The same address in other words.
  '2130706433',
  '017700000001',
  '0x7f000001',
  '0x7f.0.0.1',
  '0177.0.0.01',
  '127.1',
  '127.0.1',
  '0',
  '127.0.0.1.',
  '%31%32%37.0.0.1',
  '１２７.0.0.1',
  '127。0。0。1',
  // As IPv6.
  '[::]',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::127.0.0.1]',
  '[::ffff:0:127.0.0.1]',
  '[64:ff9b::127.0.0.1]',
  '[64:ff9b:1::7f00:1]',
  '[2002:7f00:1::]',
  '[2001:0:7f00:1::]',
  '[100::1]',
  '[5f00::1]',
  '[fe80::1]',
  '[fec0::1]',
  '[fc00::1]',
  '[fd00:ec2::254]',
  '[ff02::1]',
  '[2001:db8::1]',
  '[3fff::1]',
])('https://%s/ is refused before it is dialled', (host) => {
  expect(() => checkOutboundUrl(`https://${host}/`, '')).toThrow('is not a public address');
});

test.each(['[fe80::1%25eth0]', '256.1.1.1', '1.2.3.4.5', '[::1', '0x7f.0.0.0x100', 'a b', ''])(
  'https://%s/ cannot be read, or is a name like any other',
  (host) => {
    expect(() => checkOutboundUrl(`https://${host}/`, '')).toThrow(/cannot be read|is not a public address/);
  },
);

test('every private IPv4 address is refused in every notation, also inside IPv6', () => {
  const ranges: [number, number][] = [
    [0x00000000, 8],
    [0x0a000000, 8],
    [0x64400000, 10],
    [0x7f000000, 8],
    [0xa9fe0000, 16],
    [0xac100000, 12],
    [0xc0a80000, 16],
    [0xc6120000, 15],
    [0xe0000000, 3],
  ];
  const address = fc
    .tuple(fc.constantFrom(...ranges), fc.nat({ max: 0xffffffff }))
    .map(([[network, bits], host]) => (network + (host % 2 ** (32 - bits))) >>> 0);
  const hex = (n: number) => n.toString(16);
  const notations = (n: number) => {
    const parts = [24, 16, 8, 0].map((shift) => (n >>> shift) & 255);
    const dotted = parts.join('.');
    return [
      dotted,
      String(n),
      `0x${hex(n)}`,
      `0${n.toString(8)}`,
      parts.map((part) => `0${part.toString(8)}`).join('.'),
      parts.map((part) => `0x${hex(part)}`).join('.'),
      `${parts[0]}.${n & 0xffffff}`,
      `[::ffff:${dotted}]`,
      `[::${dotted}]`,
      `[64:ff9b::${hex(n >>> 16)}:${hex(n & 0xffff)}]`,
      `[2002:${hex(n >>> 16)}:${hex(n & 0xffff)}::1]`,
    ];
  };
  fc.assert(
    fc.property(address, (n) => {
      for (const host of notations(n)) {
        expect(() => checkOutboundUrl(`https://${host}/`, ''), host).toThrow('is not a public address');
        expect(isPublicAddress(host.replaceAll(/[[\]]/g, '')), host).toBe(false);
      }
    }),
    { seed: 1, numRuns: 2000 },
  );
});

test('the allow-list opens a host at one port or at all, whatever the notation of its address', () => {
  const taken = (url: string, allowed: string) => checkOutboundUrl(url, allowed).href;
  expect(taken('http://minio:9000/m', 'minio:9000, other')).toBe('http://minio:9000/m');
  expect(taken('http://0x7f.1/m', '127.0.0.1')).toBe('http://127.0.0.1/m');
  expect(taken('http://[0:0::1]:80/m', '[::1]:80')).toBe('http://[::1]/m');
  for (const [url, allowed] of [
    ['http://minio:9001/m', 'minio:9000'],
    ['http://minio/m', 'minio:9000'],
    ['http://minio.evil/m', 'minio'],
    ['http://minio/m', ''],
    ['http://127.0.0.1/m', '127.0.0.1:443'],
    ['ftp://minio/m', 'minio'],
  ] as const) {
    expect(() => checkOutboundUrl(url, allowed), url).toThrow('is not https');
  }
});
