import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ownFault } from '../errors/classify.js';
import { InfrastructureError, OwnFaultError, SparankError } from '../errors/index.js';
import { downloadTo } from './download.js';
import { checkKey, checkPrefix, healthKey, missing, unsatisfiable } from './keys.js';
import { Measure, watchBody } from './measured-body.js';
import type { S3Settings } from './s3-url.js';
import type { Storage, StoredObject } from './storage.js';

const MAX_PARTS = 10_000;
/** Two parts in flight at a time: an upload holds about 24 MiB whatever its size. */
const PART_BYTES = 8 * 2 ** 20;
const PARTS_IN_FLIGHT = 2;
/** S3 copies at most 5 GiB in one request. */
const COPY_BYTES = 5 * 2 ** 30;
/** S3 deletes at most 1,000 keys in one request. */
const DELETE_BATCH = 1000;

/** Files in a bucket of S3 or of a store that speaks its protocol. */
export class S3Storage implements Storage {
  private readonly client: S3Client;
  private readonly signer: S3Client;
  private readonly settings: S3Settings;
  private readonly copyBytes: number;

  constructor(settings: S3Settings, limits: { copyBytes?: number } = {}) {
    this.settings = settings;
    this.copyBytes = limits.copyBytes ?? COPY_BYTES;
    this.client = connect(settings, settings.endpoint);
    this.signer = settings.publicEndpoint === undefined ? this.client : connect(settings, settings.publicEndpoint);
  }

  async put(
    key: string,
    body: Readable,
    options: { maxBytes?: number; contentType?: string; signal?: AbortSignal } = {},
  ): Promise<{ bytes: number; sha256: string }> {
    const maxBytes = options.maxBytes ?? Infinity;
    const measure = new Measure(maxBytes);
    const watched = watchBody(body, measure);
    try {
      const target = this.target(key);
      options.signal?.throwIfAborted();
      const fed = pipeline(body, measure, options.signal ? { signal: options.signal } : {});
      // The upload is ended through its body, not through its own abort, which would not wait for the parts' removal.
      const upload = new Upload({
        client: this.client,
        params: { ...target, Body: measure, ...(options.contentType && { ContentType: options.contentType }) },
        partSize: Number.isFinite(maxBytes) ? Math.max(PART_BYTES, Math.ceil(maxBytes / MAX_PARTS)) : PART_BYTES,
        queueSize: PARTS_IN_FLIGHT,
      });
      fed.catch(() => undefined); // the upload fails of the same error
      await upload.done();
      await fed;
      return measure.result();
    } catch (error) {
      const failure = watched.failure();
      body.destroy();
      measure.destroy();
      options.signal?.throwIfAborted();
      throw failure ?? asStorageError(error);
    }
  }

  async putNew(key: string, text: string): Promise<boolean> {
    const target = { ...this.target(key), Body: text };
    // A store that does not know the condition would replace what is there.
    if ((await this.head(key)) !== null) return false;
    return this.guarded(key, async () => {
      try {
        await this.client.send(new PutObjectCommand({ ...target, IfNoneMatch: '*' }));
      } catch (error) {
        const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
        if (status === 412 || status === 409) return false;
        if (status !== 501) throw error;
        await this.client.send(new PutObjectCommand(target));
      }
      return true;
    });
  }

  async get(key: string, range?: { start: number; end: number }): Promise<Readable> {
    if (range && range.start > range.end) throw unsatisfiable(key);
    return this.fetch(key, range);
  }

  async head(key: string): Promise<StoredObject | null> {
    const target = this.target(key);
    try {
      const found = await this.client.send(new HeadObjectCommand(target));
      return { key, bytes: found.ContentLength ?? 0, modifiedAt: found.LastModified ?? new Date(0) };
    } catch (error) {
      if (isMissing(error)) return null;
      throw asStorageError(error);
    }
  }

  async copy(from: string, to: string): Promise<void> {
    const target = this.target(to);
    const source = this.target(from);
    const found = await this.head(from);
    if (!found) throw missing(from);
    const CopySource = `${source.Bucket}/${source.Key}`;
    await this.guarded(from, async () => {
      if (found.bytes <= this.copyBytes) await this.client.send(new CopyObjectCommand({ ...target, CopySource }));
      else await this.copyInParts(target, CopySource, found.bytes);
    });
  }

  async delete(key: string): Promise<void> {
    const target = this.target(key);
    await this.guarded(key, () => this.client.send(new DeleteObjectCommand(target)));
  }

  async deletePrefix(prefix: string): Promise<number> {
    checkKey(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix);
    let deleted = 0;
    let batch: string[] = [];
    for await (const { key } of this.list(prefix)) {
      batch.push(key);
      deleted++;
      if (batch.length === DELETE_BATCH) {
        await this.deleteAll(batch);
        batch = [];
      }
    }
    await this.deleteAll(batch);
    return deleted;
  }

  async *list(prefix: string): AsyncIterable<StoredObject> {
    checkPrefix(prefix);
    const request = { Bucket: this.settings.bucket, Prefix: this.settings.prefix + prefix };
    let token: string | undefined;
    do {
      const command = new ListObjectsV2Command({
        ...request,
        ...(token !== undefined && { ContinuationToken: token }),
      });
      const page = await this.guarded(prefix, () => this.client.send(command));
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        if (Key === undefined) continue;
        yield {
          key: Key.slice(this.settings.prefix.length),
          bytes: Size ?? 0,
          modifiedAt: LastModified ?? new Date(0),
        };
      }
      token = page.NextContinuationToken;
    } while (token !== undefined);
  }

  async presign(
    key: string,
    options: { filename: string; contentType: string; expiresInSeconds: number },
  ): Promise<string | null> {
    const target = this.target(key);
    if (!this.settings.presign) return null;
    const command = new GetObjectCommand({
      ...target,
      ResponseContentType: options.contentType,
      ResponseContentDisposition: attachment(options.filename),
    });
    return this.guarded(key, () => getSignedUrl(this.signer, command, { expiresIn: options.expiresInSeconds }));
  }

  async download(key: string, path: string, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    try {
      await downloadTo(path, await this.fetch(key, undefined, signal), signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw asStorageError(error);
    }
  }

  async check(): Promise<void> {
    const key = healthKey();
    const target = this.target(key);
    await this.guarded(key, async () => {
      await this.client.send(new PutObjectCommand({ ...target, Body: key }));
      const { Body } = await this.client.send(new GetObjectCommand(target));
      if ((await Body?.transformToString()) !== key) throw new Error('read back something else than was written');
      await this.client.send(new DeleteObjectCommand(target));
    });
  }

  private target(key: string): { Bucket: string; Key: string } {
    checkKey(key);
    return { Bucket: this.settings.bucket, Key: this.settings.prefix + key };
  }

  private async fetch(key: string, range?: { start: number; end: number }, signal?: AbortSignal): Promise<Readable> {
    const target = this.target(key);
    const command = new GetObjectCommand({ ...target, ...(range && { Range: `bytes=${range.start}-${range.end}` }) });
    const { Body } = await this.guarded(key, () => this.client.send(command, signal ? { abortSignal: signal } : {}));
    if (!(Body instanceof Readable)) throw new InfrastructureError('storage_unavailable', 'the storage sent no body');
    return Body;
  }

  private async deleteAll(keys: string[]): Promise<void> {
    if (keys.length === 0) return;
    const Objects = keys.map((key) => ({ Key: this.settings.prefix + key }));
    const command = new DeleteObjectsCommand({ Bucket: this.settings.bucket, Delete: { Objects, Quiet: true } });
    const { Errors } = await this.guarded('', () => this.client.send(command));
    const first = Errors?.[0];
    if (first) throw asStorageError(Object.assign(new Error(first.Message), { code: first.Code }));
  }

  private async copyInParts(target: { Bucket: string; Key: string }, CopySource: string, bytes: number): Promise<void> {
    const { UploadId } = await this.client.send(new CreateMultipartUploadCommand(target));
    const upload = { ...target, UploadId };
    try {
      const Parts: { PartNumber: number; ETag: string | undefined }[] = [];
      for (let start = 0; start < bytes; start += this.copyBytes) {
        const PartNumber = Parts.length + 1;
        const CopySourceRange = `bytes=${start}-${Math.min(start + this.copyBytes, bytes) - 1}`;
        const part = new UploadPartCopyCommand({ ...upload, CopySource, CopySourceRange, PartNumber });
        Parts.push({ PartNumber, ETag: (await this.client.send(part)).CopyPartResult?.ETag });
      }
      await this.client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
    } catch (error) {
      await this.client.send(new AbortMultipartUploadCommand(upload)).catch(() => undefined);
      throw error;
    }
  }

  private async guarded<T>(key: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (isMissing(error)) throw missing(key);
      if (error instanceof S3ServiceException && error.name === 'InvalidRange') throw unsatisfiable(key);
      if (error instanceof Error && error.name === 'AbortError') throw error;
      throw asStorageError(error);
    }
  }
}

function connect(settings: S3Settings, endpoint: string | undefined): S3Client {
  return new S3Client({
    region: settings.region,
    forcePathStyle: settings.pathStyle,
    ...(endpoint !== undefined && { endpoint }),
    ...(settings.credentials && { credentials: settings.credentials }),
    // Checksums beyond the protocol's own are not understood by every compatible store.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: 5_000, socketTimeout: 60_000 },
  });
}

/** Names beyond plain ASCII need `filename*` (RFC 6266) beside the name that old clients understand. */
function attachment(filename: string): string {
  const plain = filename.replace(/[^\x20-\x7e]|["\\%]/g, '_');
  const simple = `attachment; filename="${plain}"`;
  if (plain === filename) return simple;
  const encoded = encodeURIComponent(filename).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
  return `${simple}; filename*=UTF-8''${encoded}`;
}

/** A missing bucket is a wrong setting, not a missing file. */
function isMissing(error: unknown): boolean {
  return error instanceof S3ServiceException && (error.name === 'NoSuchKey' || error.name === 'NotFound');
}

function asStorageError(error: unknown): SparankError {
  if (error instanceof SparankError) return error;
  const fault = ownFault(error);
  if (fault !== null) {
    return new OwnFaultError('storage_unavailable', `the storage cannot be used from here (${fault})`, {
      cause: error,
    });
  }
  const reason = error instanceof Error ? ('code' in error ? String(error.code) : error.name) : 'unknown';
  return new InfrastructureError('storage_unavailable', `the storage failed (${reason})`, { cause: error });
}
