import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStorage } from '../../src/storage/open.js';

describe('storage on the local disk alone', () => {
  let data: string;
  beforeEach(async () => {
    data = await mkdtemp(join(tmpdir(), 'sparank-data-'));
  });
  afterEach(() => rm(data, { recursive: true }));
  const open = () => openStorage({ DATA_DIR: data });

  test('lives under DATA_DIR, readable by its owner only', async () => {
    const storage = await open();
    await storage.put('jobs/a/model.onnx', Readable.from([Buffer.from('x')]));
    const mode = async (path: string) => ((await stat(join(data, 'storage', path))).mode & 0o777).toString(8);
    expect(await mode('jobs/a/model.onnx')).toBe('600');
    expect(await mode('jobs/a')).toBe('700');
    expect(await mode('jobs')).toBe('700');
  });

  test('a deleted key leaves no empty directories', async () => {
    const storage = await open();
    await storage.put('jobs/a/b/c', Readable.from([Buffer.from('x')]));
    await storage.put('jobs/d', Readable.from([Buffer.from('x')]));
    await storage.delete('jobs/a/b/c');
    expect(await readdir(join(data, 'storage/jobs'))).toEqual(['d']);
    await storage.delete('jobs/d');
    expect(await readdir(join(data, 'storage'))).toEqual(['.incoming']);
  });

  test('removes the partial files of a killed process after a day, not those of a running one', async () => {
    const incoming = join(data, 'storage/.incoming');
    await mkdir(incoming, { recursive: true });
    await writeFile(join(incoming, 'old'), 'x');
    await writeFile(join(incoming, 'new'), 'x');
    const yesterday = Date.now() / 1000 - 25 * 3600;
    await utimes(join(incoming, 'old'), yesterday, yesterday);
    await open();
    expect(await readdir(incoming)).toEqual(['new']);
  });

  test('has no URL for clients', async () => {
    expect(await (await open()).presign('a', { filename: 'a', contentType: 'a/b', expiresInSeconds: 1 })).toBeNull();
  });

  test('a disk that fills up is storage_unavailable and leaves nothing', async () => {
    await open();
    const script = fileURLToPath(new URL('put-too-much.ts', import.meta.url));
    // A limit on the size of files makes the kernel refuse the write half-way, as a full disk does.
    const shell = `ulimit -f 2048 && exec "$0" --import tsx "$1" "$2"`;
    const { stdout } = await promisify(execFile)('bash', ['-c', shell, process.execPath, script, data]);
    expect(JSON.parse(stdout)).toEqual({ code: 'storage_unavailable', detail: 'the storage is full' });
    expect(await readdir(join(data, 'storage'))).toEqual(['.incoming']);
    expect(await readdir(join(data, 'storage/.incoming'))).toEqual([]);
  });

  test('a storage that cannot be written is storage_unavailable', async () => {
    const storage = await open();
    await rm(join(data, 'storage'), { recursive: true });
    await writeFile(join(data, 'storage'), 'a file in the way');
    const lost = { code: 'storage_unavailable', origin: 'infrastructure' };
    await expect(storage.check()).rejects.toMatchObject(lost);
    await expect(storage.put('a', Readable.from(['a']))).rejects.toMatchObject(lost);
    await expect(open()).rejects.toMatchObject(lost);
  });
});
