import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { InfrastructureError } from '../../src/errors/index.js';
import { LocalStorage } from '../../src/storage/local-storage.js';
import type { Storage } from '../../src/storage/storage.js';
import { FileCache } from '../../src/worker/task/file-cache.js';
import { changedStorage } from '../support/storage.js';

const SIZE = 100;
const never = () => new AbortController().signal;

describe('the cache of stored files', () => {
  let directory: string;
  let cacheDirectory: string;
  let storage: Storage;
  let downloads: string[];
  let fetched: number;
  /** Times of use must differ for "used longest ago" to have an answer. */
  const tick = () => vi.setSystemTime(Date.now() + 1000);
  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    directory = await mkdtemp(join(tmpdir(), 'sparank-cache-'));
    cacheDirectory = join(directory, 'cache');
    const local = await LocalStorage.open(join(directory, 'storage'));
    for (const key of ['a', 'b', 'c']) await local.put(key, Readable.from([Buffer.alloc(SIZE, key)]));
    downloads = [];
    fetched = 0;
    storage = changedStorage(local, {
      async download(key, path, signal) {
        downloads.push(key);
        tick();
        return local.download(key, path, signal);
      },
    });
  });
  afterEach(async () => {
    vi.useRealTimers();
    await rm(directory, { recursive: true, force: true });
  });

  const hashOf = (key: string) => createHash('sha256').update(Buffer.alloc(SIZE, key)).digest('hex');
  const open = (maxBytes: number, over = storage, lacking = 0) =>
    new FileCache(cacheDirectory, over, maxBytes, async () => lacking);
  const fetch = async (cache: FileCache, key: string, signal = never()) => {
    const path = join(directory, `fetched-${++fetched}`);
    await cache.fetch({ key, bytes: SIZE, sha256: hashOf(key) }, path, signal);
    expect(await readFile(path)).toEqual(Buffer.alloc(SIZE, key));
    return path;
  };
  const cachedBytes = async () => {
    const sizes = (await readdir(cacheDirectory)).map(async (name) => (await stat(join(cacheDirectory, name))).size);
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  };

  it('downloads a file once, also for tasks that want it at the same time', async () => {
    const cache = open(10 * SIZE);
    await Promise.all([fetch(cache, 'a'), fetch(cache, 'a')]);
    await fetch(open(10 * SIZE), 'a');
    expect(downloads).toEqual(['a']);
  });

  it('gives way, the oldest first, when the disk runs full, also for a task that needs nothing new', async () => {
    const cache = open(10 * SIZE);
    for (const key of ['a', 'b', 'c']) await fetch(cache, key);
    // So that one of three has to go, before what is asked for is looked at.
    await fetch(open(10 * SIZE, storage, SIZE), 'c');
    expect(await cachedBytes()).toBe(2 * SIZE);
    await fetch(open(10 * SIZE), 'b');
    expect(downloads).toEqual(['a', 'b', 'c']);
    // Nothing that could be dropped makes room enough: the task gets its file all the same.
    await fetch(open(10 * SIZE, storage, 100 * SIZE), 'b');
    expect(downloads).toEqual(['a', 'b', 'c', 'b']);
  });

  it('leaves a part of a real disk alone', async () => {
    const cache = new FileCache(cacheDirectory, storage, 10 * SIZE);
    await fetch(cache, 'a');
    expect(await cachedBytes()).toBeLessThanOrEqual(SIZE);
  });

  it('drops what was not used for longest when it is full, and never holds more than its limit', async () => {
    const cache = open(2 * SIZE);
    for (const key of ['a', 'b', 'a', 'c']) {
      await fetch(cache, key);
      expect(await cachedBytes()).toBeLessThanOrEqual(2 * SIZE);
      tick();
    }
    await fetch(cache, 'a');
    expect(downloads).toEqual(['a', 'b', 'c']);
    await fetch(cache, 'b');
    expect(downloads).toEqual(['a', 'b', 'c', 'b']);
  });

  it('leaves a running task the file that it drops', async () => {
    const cache = open(SIZE);
    const held = await fetch(cache, 'a');
    await fetch(cache, 'b');
    expect(await cachedBytes()).toBe(SIZE);
    expect(await readFile(held)).toEqual(Buffer.alloc(SIZE, 'a'));
  });

  it('serves a file that is larger than the cache', async () => {
    const cache = open(SIZE / 2);
    await fetch(cache, 'a');
    await fetch(cache, 'b');
    expect(await cachedBytes()).toBe(SIZE);
  });

  it('downloads again what was cut short on disk', async () => {
    const cache = open(10 * SIZE);
    await fetch(cache, 'a');
    const [name = ''] = await readdir(cacheDirectory);
    await rm(join(cacheDirectory, name));
    await writeFile(join(cacheDirectory, name), 'short');
    await fetch(cache, 'a');
    expect(downloads).toEqual(['a', 'a']);
  });

  it('keeps nothing of a download that failed, for itself or for the task that waited for it', async () => {
    let failures = 1;
    const flaky = changedStorage(storage, {
      async download(key, path, signal) {
        if (failures-- <= 0) return storage.download(key, path, signal);
        await writeFile(path, 'part');
        // The other one waits for it by then.
        await new Promise(setImmediate);
        throw new InfrastructureError('storage_unavailable', 'the storage is away');
      },
    });
    const cache = open(10 * SIZE, flaky);
    // Either may be the one that downloads first.
    const ends = await Promise.allSettled([fetch(cache, 'a'), fetch(cache, 'a')]);
    const failed = ends.filter(({ status }) => status === 'rejected');
    expect(failed).toMatchObject([{ reason: { code: 'storage_unavailable' } }]);
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await cachedBytes()).toBe(SIZE);
  });

  it('takes another content under the same key for another file', async () => {
    const cache = open(10 * SIZE);
    await fetch(cache, 'a');
    await storage.put('a', Readable.from([Buffer.alloc(SIZE, 'x')]));
    const path = join(directory, 'other');
    await cache.fetch({ key: 'a', bytes: SIZE, sha256: hashOf('x') }, path, never());
    expect(await readFile(path)).toEqual(Buffer.alloc(SIZE, 'x'));
  });

  it('takes a file of another size than was recorded for lost', async () => {
    await storage.put('a', Readable.from([Buffer.alloc(SIZE - 1, 'a')]));
    await expect(fetch(open(10 * SIZE), 'a')).rejects.toMatchObject({ code: 'not_found' });
    expect(await cachedBytes()).toBe(0);
  });

  it('removes downloads that a killed process left, and none that is under way', async () => {
    await mkdir(cacheDirectory, { recursive: true });
    for (const name of ['old.part', 'new.part']) await writeFile(join(cacheDirectory, name), 'part');
    const hoursAgo = new Date(Date.now() - 2 * 3600_000);
    await utimes(join(cacheDirectory, 'old.part'), hoursAgo, hoursAgo);
    await fetch(open(10 * SIZE), 'a');
    const names = await readdir(cacheDirectory);
    expect(names).toContain('new.part');
    expect(names).not.toContain('old.part');
  });
});
