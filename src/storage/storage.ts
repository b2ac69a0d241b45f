import type { Readable } from 'node:stream';

export interface StoredObject {
  key: string;
  bytes: number;
  modifiedAt: Date;
}

/**
 * Where files live. Keys are `/`-separated relative paths of [A-Za-z0-9._-] segments, never starting with `.` or `/`.
 * A missing key is `InputError('not_found')`; a failing backend is `InfrastructureError('storage_unavailable')`,
 * an `OwnFaultError` where it is this process that cannot use it (credentials, a full disk).
 */
export interface Storage {
  /** Streams `body` to `key`, hashing on the way. Atomic: readers see the whole object or none. */
  put(
    key: string,
    body: Readable,
    options?: { maxBytes?: number; contentType?: string; signal?: AbortSignal },
  ): Promise<{ bytes: number; sha256: string }>;
  /**
   * Writes a small text unless the key is there: false then. Of several at once, one gets true; on a store that cannot
   * tell (an S3 without conditional writes), those that come at the very same moment may all get it: read it back.
   */
  putNew(key: string, text: string): Promise<boolean>;
  /** `range` is inclusive, as in HTTP. */
  get(key: string, range?: { start: number; end: number }): Promise<Readable>;
  head(key: string): Promise<StoredObject | null>;
  copy(from: string, to: string): Promise<void>;
  delete(key: string): Promise<void>;
  deletePrefix(prefix: string): Promise<number>;
  list(prefix: string): AsyncIterable<StoredObject>;
  /** A URL a client can download from directly, or null when the backend has none. */
  presign(
    key: string,
    options: { filename: string; contentType: string; expiresInSeconds: number },
  ): Promise<string | null>;
  /** Downloads to a local file (atomic rename at the end). */
  download(key: string, path: string, signal?: AbortSignal): Promise<void>;
  /** Throws when the backend cannot be written to and read from. */
  check(): Promise<void>;
}
