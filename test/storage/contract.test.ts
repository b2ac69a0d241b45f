import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../support/until.js';
import { openStorage } from '../../src/storage/open.js';
import type { Storage } from '../../src/storage/storage.js';
import { startS3 } from './s3-server.js';

interface Backend {
  storage: Storage;
  /** What an unfinished write left behind. */
  leftovers(): Promise<string[]>;
  close(): Promise<void>;
}

async function local(): Promise<Backend> {
  const root = await mkdtemp(join(tmpdir(), 'sparank-storage-'));
  return {
    storage: await openStorage({ DATA_DIR: '/nowhere', STORAGE_URL: pathToFileURL(root).href }),
    leftovers: () => readdir(join(root, '.incoming')),
    close: () => rm(root, { recursive: true }),
  };
}

async function s3(): Promise<Backend> {
  const server = await startS3();
  return {
    storage: await openStorage({ DATA_DIR: '/nowhere', STORAGE_URL: server.url }),
    leftovers: () => server.openUploads(),
    close: () => server.close(),
  };
}

const MiB = 2 ** 20;

describe.each([
  ['local disk', local],
  ['S3', s3],
])('storage on %s', (_name, start) => {
  let backend: Backend;
  let storage: Storage;
  let scratch: string;
  beforeAll(async () => {
    backend = await start();
    storage = backend.storage;
    scratch = await mkdtemp(join(tmpdir(), 'sparank-scratch-'));
  });
  afterAll(async () => {
    await backend.close();
    await rm(scratch, { recursive: true });
  });

  const read = async (key: string, range?: { start: number; end: number }) => buffer(await storage.get(key, range));
  const keys = async (prefix: string) => {
    const found = [];
    for await (const object of storage.list(prefix)) found.push(object.key);
    return found.sort();
  };

  test.each([0, 1, 70_000, 20 * MiB + 1])('gives back what was put, with its size and digest (%i bytes)', async (n) => {
    const content = randomBytes(n);
    const put = await storage.put(`sizes/${n}`, Readable.from(chunks(content, 65_537)));
    expect(put).toEqual({ bytes: n, sha256: createHash('sha256').update(content).digest('hex') });
    expect((await read(`sizes/${n}`)).equals(content)).toBe(true);
    const head = await storage.head(`sizes/${n}`);
    expect(head).toMatchObject({ key: `sizes/${n}`, bytes: n });
    expect(Math.abs(Date.now() - (head?.modifiedAt.getTime() ?? 0))).toBeLessThan(60_000);
    expect(await backend.leftovers()).toEqual([]);
  });

  test('replaces a key', async () => {
    await storage.put('again/a', Readable.from([Buffer.from('a longer first one')]));
    await storage.put('again/a', Readable.from([Buffer.from('second')]));
    expect((await read('again/a')).toString()).toBe('second');
  });

  test('writes a new key only once, whole, and leaves what is there', async () => {
    expect(await storage.putNew('new/a', 'first')).toBe(true);
    expect(await storage.putNew('new/a', 'second')).toBe(false);
    expect((await read('new/a')).toString()).toBe('first');
    if (start === local) {
      const won = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => storage.putNew('new/b', String(n))));
      expect(won.filter(Boolean)).toHaveLength(1);
      expect((await read('new/b')).toString()).toBe(String(won.indexOf(true) + 1));
    }
    expect(await backend.leftovers()).toEqual([]);
  });

  test('reads an inclusive range and cuts it at the end', async () => {
    await storage.put('range/a', Readable.from([Buffer.from('0123456789')]));
    expect((await read('range/a', { start: 2, end: 5 })).toString()).toBe('2345');
    expect((await read('range/a', { start: 8, end: 100 })).toString()).toBe('89');
    await expect(storage.get('range/a', { start: 10, end: 12 })).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(storage.get('range/a', { start: 5, end: 4 })).rejects.toMatchObject({ code: 'invalid_request' });
  });

  test('a missing key is not_found, and input', async () => {
    const fault = { code: 'not_found', origin: 'input', retryable: false };
    expect(await storage.head('no/such')).toBeNull();
    await expect(storage.get('no/such')).rejects.toMatchObject(fault);
    await expect(storage.copy('no/such', 'no/other')).rejects.toMatchObject(fault);
    await expect(storage.download('no/such', join(scratch, 'no'))).rejects.toMatchObject(fault);
    await storage.delete('no/such');
    expect(await storage.deletePrefix('no/')).toBe(0);
    expect(await readdir(scratch)).toEqual([]);
  });

  test.each([
    '',
    '/a',
    'a/',
    'a//b',
    '../a',
    'a/../b',
    'a/./b',
    '.hidden',
    'a/.b',
    'a b',
    'a\\b',
    'a\0',
    'ä',
    'a/'.repeat(600) + 'a',
  ])('refuses the key %j everywhere', async (key) => {
    const fault = { code: 'invalid_request', origin: 'input' };
    await expect(storage.put(key, Readable.from([]))).rejects.toMatchObject(fault);
    await expect(storage.putNew(key, '')).rejects.toMatchObject(fault);
    await expect(storage.get(key)).rejects.toMatchObject(fault);
    await expect(storage.head(key)).rejects.toMatchObject(fault);
    await expect(storage.delete(key)).rejects.toMatchObject(fault);
    await expect(storage.copy(key, 'b')).rejects.toMatchObject(fault);
    await expect(storage.copy('b', key)).rejects.toMatchObject(fault);
    const options = { filename: 'a', contentType: 'text/plain', expiresInSeconds: 1 };
    if (start === s3) await expect(storage.presign(key, options)).rejects.toMatchObject(fault);
    if (key !== 'a/') await expect(storage.deletePrefix(key)).rejects.toMatchObject(fault);
  });

  test('lists by prefix and deletes by prefix', async () => {
    const names = ['list/a', 'list/a.b/c', 'list/a/b', 'list/ab/c/d', 'list/b', 'lists/x'];
    for (const name of names.filter((n) => n !== 'list/a')) await storage.put(name, Readable.from([Buffer.from(name)]));
    expect(await keys('list/')).toEqual(['list/a.b/c', 'list/a/b', 'list/ab/c/d', 'list/b']);
    expect(await keys('list/a')).toEqual(['list/a.b/c', 'list/a/b', 'list/ab/c/d']);
    expect(await keys('list/ab/')).toEqual(['list/ab/c/d']);
    expect(await keys('')).toEqual(expect.arrayContaining(['list/b', 'lists/x']));
    expect(await storage.deletePrefix('list/')).toBe(4);
    expect(await keys('list')).toEqual(['lists/x']);
  });

  test('lists and deletes more than one page', async () => {
    const names = Array.from({ length: 1003 }, (_, i) => `many/${String(i).padStart(4, '0')}`);
    for (let i = 0; i < names.length; i += 50) {
      await Promise.all(names.slice(i, i + 50).map((name) => storage.put(name, Readable.from([Buffer.from('x')]))));
    }
    expect(await keys('many/')).toEqual(names);
    expect(await storage.deletePrefix('many/')).toBe(1003);
    expect(await keys('many/')).toEqual([]);
  });

  test('copies, downloads and deletes', async () => {
    const content = randomBytes(9 * MiB);
    await storage.put('copy/a', Readable.from(chunks(content, MiB)));
    await storage.copy('copy/a', 'copied/b');
    await storage.delete('copy/a');
    expect(await storage.head('copy/a')).toBeNull();
    const path = join(scratch, 'b.bin');
    await storage.download('copied/b', path);
    expect((await readFile(path)).equals(content)).toBe(true);
    expect(await readdir(scratch)).toEqual(['b.bin']);
    await rm(path);
  });

  test('a body over maxBytes is payload_too_large, and one of exactly maxBytes is not', async () => {
    for (const size of [1000, 18 * MiB]) {
      const body = () => Readable.from(chunks(Buffer.alloc(size), 65_536));
      await expect(storage.put('limit/a', body(), { maxBytes: size - 1 })).rejects.toMatchObject({
        code: 'payload_too_large',
        origin: 'input',
      });
      expect(await storage.head('limit/a')).toBeNull();
      expect((await storage.put('limit/b', body(), { maxBytes: size })).bytes).toBe(size);
    }
    expect(await backend.leftovers()).toEqual([]);
  });

  test.each([100, 17 * MiB])('a body that fails after %i bytes leaves nothing and keeps its own error', async (n) => {
    const body = Readable.from(
      (function* () {
        yield* chunks(Buffer.alloc(n), 65_536);
        throw new Error('the client hung up');
      })(),
    );
    await expect(storage.put('broken/a', body)).rejects.toThrow('the client hung up');
    expect(await storage.head('broken/a')).toBeNull();
    expect(await backend.leftovers()).toEqual([]);
  });

  test('a body that failed before it was put keeps its own error', async () => {
    const body = new PassThrough();
    body.on('error', () => undefined).destroy(new Error('too early'));
    await new Promise((resolve) => body.once('close', resolve));
    await expect(storage.put('broken/b', body)).rejects.toThrow('too early');
    expect(await storage.head('broken/b')).toBeNull();
  });

  test('a body destroyed without an error leaves nothing', async () => {
    const body = new PassThrough();
    const put = storage.put('broken/c', body);
    body.write(Buffer.alloc(100));
    await until('the first bytes are taken', () => body.readableLength === 0);
    body.destroy();
    await expect(put).rejects.toMatchObject({ code: 'invalid_request', origin: 'input' });
    expect(await storage.head('broken/c')).toBeNull();
    expect(await backend.leftovers()).toEqual([]);
  });

  test.each([100, 17 * MiB])('an abort while the body stalls after %i bytes leaves nothing', async (n) => {
    const body = new PassThrough();
    const stop = new AbortController();
    const put = storage.put('aborted/a', body, { signal: stop.signal });
    const reason = new Error('enough');
    const rejected = expect(put).rejects.toBe(reason);
    for (const chunk of chunks(Buffer.alloc(n), 65_536)) if (!body.write(chunk)) await once(body, 'drain');
    await until('all of it is taken', () => body.readableLength === 0);
    stop.abort(reason);
    await rejected;
    expect(body.destroyed).toBe(true);
    expect(await storage.head('aborted/a')).toBeNull();
    expect(await backend.leftovers()).toEqual([]);
    await expect(storage.put('aborted/a', Readable.from(['x']), { signal: stop.signal })).rejects.toBe(reason);
  });

  test('a reader sees the old object until the new one is complete', async () => {
    await storage.put('atomic/a', Readable.from([Buffer.from('old')]));
    const body = new PassThrough();
    const put = storage.put('atomic/a', body);
    body.write(Buffer.from('new'));
    await until('the new bytes are taken', () => body.readableLength === 0);
    expect((await read('atomic/a')).toString()).toBe('old');
    body.end();
    await put;
    expect((await read('atomic/a')).toString()).toBe('new');
  });

  test('puts and deletes beside each other do not disturb one another', async () => {
    const rounds = Array.from({ length: 40 }, async (_, i) => {
      const key = `busy/${i % 4}/${i}`;
      await storage.put(key, Readable.from([Buffer.from(key)]));
      expect((await read(key)).toString()).toBe(key);
      await storage.delete(key);
    });
    await Promise.all(rounds);
    expect(await keys('busy/')).toEqual([]);
  });

  test('an aborted download leaves no file', async () => {
    await storage.put('down/a', Readable.from(chunks(Buffer.alloc(20 * MiB), MiB)));
    const stop = new AbortController();
    const done = storage.download('down/a', join(scratch, 'a'), stop.signal);
    setImmediate(() => stop.abort(new Error('not needed any more')));
    await expect(done).rejects.toThrow('not needed any more');
    expect(await readdir(scratch)).toEqual([]);
  });

  test('the check passes and cleans up', async () => {
    await storage.check();
    expect(await keys('health/')).toEqual([]);
  });
});

function* chunks(content: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}
