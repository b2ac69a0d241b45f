import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStorage } from '../../src/storage/open.js';
import { S3Storage } from '../../src/storage/s3-storage.js';
import { readS3Url } from '../../src/storage/s3-url.js';
import type { Storage } from '../../src/storage/storage.js';
import { startS3, type S3Server } from './s3-server.js';

const MiB = 2 ** 20;
const lost = { code: 'storage_unavailable', origin: 'infrastructure', retryable: true };

describe('storage on S3 alone', () => {
  let server: S3Server;
  const open = (url: string): Promise<Storage> => openStorage({ DATA_DIR: '/nowhere', STORAGE_URL: url });
  beforeEach(async () => {
    server = await startS3();
  });
  afterEach(() => server.close());

  test('a presigned URL downloads without credentials, with its name and type, ranges included', async () => {
    const storage = await open(server.url);
    await storage.put('jobs/a/model.onnx', Readable.from([Buffer.from('0123456789')]));
    const options = { filename: 'my model.onnx', contentType: 'application/octet-stream', expiresInSeconds: 60 };
    const url = await storage.presign('jobs/a/model.onnx', options);
    const answer = await fetch(url ?? '');
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe('0123456789');
    expect(answer.headers.get('content-type')).toBe('application/octet-stream');
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="my model.onnx"');
    const part = await fetch(url ?? '', { headers: { range: 'bytes=2-3' } });
    expect([part.status, await part.text()]).toEqual([206, '23']);
    expect((await fetch((url ?? '').replace('model.onnx', 'other.onnx'))).status).toBe(403);
  });

  test('a presigned URL carries a name beyond ASCII in both forms', async () => {
    const options = { filename: 'mÿ "model".onnx', contentType: 'a/b', expiresInSeconds: 60 };
    const url = new URL((await (await open(server.url)).presign('a', options)) ?? '');
    expect(url.searchParams.get('response-content-disposition')).toBe(
      `attachment; filename="m_ _model_.onnx"; filename*=UTF-8''m%C3%BF%20%22model%22.onnx`,
    );
  });

  test('presigned URLs use the public endpoint, or none when switched off', async () => {
    const options = { filename: 'a', contentType: 'text/plain', expiresInSeconds: 60 };
    const outside = await open(`${server.url}&public_endpoint=https://files.example.com`);
    expect(await outside.presign('a', options)).toMatch(/^https:\/\/files\.example\.com\/files\/some\/prefix\/a\?/);
    expect(await (await open(`${server.url}&presign=false`)).presign('a', options)).toBeNull();
  });

  test('copies what is larger than one copy request in parts', async () => {
    const storage = new S3Storage(readS3Url(server.url), { copyBytes: 5 * MiB });
    const content = randomBytes(11 * MiB);
    await storage.put('a', Readable.from([content]));
    await storage.copy('a', 'b');
    expect((await buffer(await storage.get('b'))).equals(content)).toBe(true);
    expect(await server.openUploads()).toEqual([]);
  });

  test('wrong credentials, a missing bucket and a dead server are storage_unavailable, not input', async () => {
    const dead = server.url.replace(server.endpoint, 'http://127.0.0.1:9');
    for (const url of [server.url.replace('S3RVER@', 'wrong@'), server.url.replace('@files/', '@others/'), dead]) {
      const storage = await open(url);
      await expect(storage.check()).rejects.toMatchObject(lost);
      await expect(storage.get('a')).rejects.toMatchObject(lost);
      await expect(storage.put('a', Readable.from(['a']))).rejects.toMatchObject(lost);
      await expect(storage.put('a', Readable.from([Buffer.alloc(20 * MiB)]))).rejects.toMatchObject(lost);
      await expect(storage.deletePrefix('a/')).rejects.toMatchObject(lost);
    }
  });

  test('a server that fails during an upload makes the put fail, whole', async () => {
    const storage = await open(server.url);
    const body = Readable.from(
      (function* () {
        for (let i = 0; i < 30; i++) {
          if (i === 20) server.failWith(500);
          yield Buffer.alloc(MiB);
        }
      })(),
    );
    await expect(storage.put('a', body)).rejects.toMatchObject(lost);
    server.failWith(undefined);
    expect(await storage.head('a')).toBeNull();
  });

  test('an upload of 300 MiB holds little of it in memory', async () => {
    const storage = await open(server.url);
    const chunk = Buffer.alloc(MiB, 1);
    const before = process.memoryUsage().arrayBuffers;
    let peak = 0;
    const body = Readable.from(
      (function* () {
        for (let i = 0; i < 300; i++) {
          peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
          yield chunk;
        }
      })(),
    );
    expect((await storage.put('large', body)).bytes).toBe(300 * MiB);
    expect((await storage.head('large'))?.bytes).toBe(300 * MiB);
    // The in-process server's own buffers and not yet collected parts count too, hence the room.
    expect(peak).toBeLessThan(150 * MiB);
  });
});

describe('the storage URL', () => {
  test('is read with defaults', () => {
    expect(readS3Url('s3://bucket')).toEqual({
      bucket: 'bucket',
      prefix: '',
      region: 'us-east-1',
      endpoint: undefined,
      publicEndpoint: undefined,
      pathStyle: false,
      presign: true,
      credentials: undefined,
    });
    expect(readS3Url('s3://id:a%2Fb@bucket/x/y/?region=eu-west-1')).toMatchObject({
      prefix: 'x/y/',
      region: 'eu-west-1',
      credentials: { accessKeyId: 'id', secretAccessKey: 'a/b' },
    });
  });

  test.each([
    ['s3://', 'must look like s3://bucket'],
    ['s3://b?pathstyle=true', 'unknown parameter pathstyle'],
    ['s3://b?path_style=yes', 'path_style must be true or false'],
    ['s3://b?endpoint=minio:9000', 'endpoint must be an http(s) URL'],
    ['s3://id@b', 'needs both id and secret'],
  ])('%s: %s', (url, fault) => {
    expect(() => readS3Url(url)).toThrow(fault);
  });
});
