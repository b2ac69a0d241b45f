import { randomUUID } from 'node:crypto';
import { constants, type Dirent } from 'node:fs';
import { copyFile, link, mkdir, open, readdir, rename, rm, rmdir, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ownFault } from '../errors/classify.js';
import { InfrastructureError, OwnFaultError, SparankError } from '../errors/index.js';
import { downloadTo } from './download.js';
import { checkKey, checkPrefix, healthKey, missing, unsatisfiable } from './keys.js';
import { Measure, watchBody } from './measured-body.js';
import type { Storage, StoredObject } from './storage.js';

/** Partial files live here, on the same file system as their target; no key can start with a dot. */
const INCOMING = '.incoming';
const ORPHAN_AGE_MS = 24 * 3600 * 1000;

async function closing<T>(file: FileHandle, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } finally {
    await file.close();
  }
}

/** Files below one directory, readable by the owner only. */
export class LocalStorage implements Storage {
  private readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  /** Makes the directory and removes partial files that a killed process left more than a day ago. */
  static async open(root: string): Promise<LocalStorage> {
    return guarded(async () => {
      const incoming = join(root, INCOMING);
      await mkdir(incoming, { recursive: true, mode: 0o700 });
      for (const name of await readdir(incoming)) {
        const path = join(incoming, name);
        const age = Date.now() - (await stat(path).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs;
        if (age > ORPHAN_AGE_MS) await rm(path, { force: true });
      }
      return new LocalStorage(root);
    });
  }

  async put(
    key: string,
    body: Readable,
    options: { maxBytes?: number; contentType?: string; signal?: AbortSignal } = {},
  ): Promise<{ bytes: number; sha256: string }> {
    const measure = new Measure(options.maxBytes ?? Infinity);
    const watched = watchBody(body, measure);
    const partial = this.partial();
    try {
      checkKey(key);
      options.signal?.throwIfAborted();
      const file = await open(partial, 'wx', 0o600);
      // `flush` syncs the file before it is closed, so the rename below never exposes bytes that a power cut could
      // lose.
      const target = file.createWriteStream({ flush: true });
      await pipeline(body, measure, target, options.signal ? { signal: options.signal } : {});
      await this.publish(partial, key);
      return measure.result();
    } catch (error) {
      const failure = watched.failure();
      body.destroy();
      await rm(partial, { force: true }).catch(() => undefined);
      options.signal?.throwIfAborted();
      throw failure ?? asStorageError(error);
    }
  }

  async putNew(key: string, text: string): Promise<boolean> {
    checkKey(key);
    const partial = this.partial();
    return guarded(async () => {
      try {
        const file = await open(partial, 'wx', 0o600);
        await closing(file, async () => {
          await file.writeFile(text);
          await file.sync();
        });
        await this.publish(partial, key, linkNew);
        return true;
      } catch (error) {
        if (codeOf(error) === 'EEXIST') return false;
        throw error;
      } finally {
        await rm(partial, { force: true }).catch(() => undefined);
      }
    });
  }

  async get(key: string, range?: { start: number; end: number }): Promise<Readable> {
    checkKey(key);
    return guarded(async () => {
      const file = await open(this.path(key), 'r').catch((error: unknown) => {
        throw isMissing(error) ? missing(key) : error;
      });
      try {
        const found = await file.stat();
        if (!found.isFile()) throw missing(key);
        if (range && (range.start > range.end || range.start >= found.size)) throw unsatisfiable(key);
        return file.createReadStream(range ?? {});
      } catch (error) {
        await file.close();
        throw error;
      }
    });
  }

  async head(key: string): Promise<StoredObject | null> {
    checkKey(key);
    return guarded(() => this.look(key));
  }

  async copy(from: string, to: string): Promise<void> {
    checkKey(from);
    checkKey(to);
    const partial = this.partial();
    await guarded(async () => {
      try {
        await copyFile(this.path(from), partial, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
        const file = await open(partial, 'r+');
        await closing(file, () => file.sync());
        await this.publish(partial, to);
      } catch (error) {
        await rm(partial, { force: true }).catch(() => undefined);
        throw isMissing(error) && (await this.look(from)) === null ? missing(from) : error;
      }
    });
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    await guarded(async () => {
      await rm(this.path(key), { force: true });
      await this.prune(dirname(key));
    });
  }

  async deletePrefix(prefix: string): Promise<number> {
    checkKey(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix);
    let deleted = 0;
    for await (const { key } of this.list(prefix)) {
      await this.delete(key);
      deleted++;
    }
    return deleted;
  }

  async *list(prefix: string): AsyncIterable<StoredObject> {
    checkPrefix(prefix);
    yield* this.walk(prefix.slice(0, prefix.lastIndexOf('/') + 1), prefix);
  }

  async presign(): Promise<null> {
    return null;
  }

  async download(key: string, path: string, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const body = await this.get(key);
    await downloadTo(path, body, signal).catch((error: unknown) => {
      signal?.throwIfAborted();
      throw asStorageError(error);
    });
  }

  async check(): Promise<void> {
    const key = healthKey();
    await guarded(async () => {
      const partial = this.partial();
      const file = await open(partial, 'wx', 0o600);
      await closing(file, () => file.writeFile(key));
      await this.publish(partial, key);
      const written = await open(this.path(key), 'r');
      const text = await closing(written, () => written.readFile('utf8'));
      if (text !== key) throw new Error('read back something else than was written');
    });
    await this.delete(key);
  }

  private path(key: string): string {
    return join(this.root, key);
  }

  private partial(): string {
    return join(this.root, INCOMING, randomUUID());
  }

  private async look(key: string): Promise<StoredObject | null> {
    const found = await stat(this.path(key)).catch((error: unknown) => {
      if (isMissing(error)) return null;
      throw error;
    });
    return found?.isFile() ? { key, bytes: found.size, modifiedAt: found.mtime } : null;
  }

  /** Moves a complete file to its key. A delete may prune the empty directory just then, hence the second try. */
  private async publish(
    partial: string,
    key: string,
    move: (from: string, to: string) => Promise<void> = rename,
  ): Promise<void> {
    const path = this.path(key);
    for (let attempt = 0; ; attempt++) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      try {
        await move(partial, path);
        break;
      } catch (error) {
        if (attempt === 3 || codeOf(error) !== 'ENOENT') throw error;
      }
    }
    if (process.platform === 'win32') return; // directories cannot be synced there
    const directory = await open(dirname(path), 'r');
    await closing(directory, () => directory.sync());
  }

  /** Removes the directories that a delete left empty. */
  private async prune(directory: string): Promise<void> {
    for (let at = directory; at !== '.' && at !== ''; at = dirname(at)) {
      try {
        await rmdir(this.path(at));
      } catch (error) {
        if (['ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return;
        throw error;
      }
    }
  }

  private async *walk(directory: string, prefix: string): AsyncIterable<StoredObject> {
    const entries: Dirent[] = await guarded(() =>
      readdir(join(this.root, directory), { withFileTypes: true }).catch((error: unknown) => {
        if (isMissing(error)) return [];
        throw error;
      }),
    );
    const names = entries.filter((e) => !e.name.startsWith('.')).map((e) => (e.isDirectory() ? `${e.name}/` : e.name));
    // With the slash in the name the order is that of the keys, as in S3.
    for (const name of names.sort()) {
      const key = directory + name;
      if (!key.startsWith(prefix) && !(name.endsWith('/') && prefix.startsWith(key))) continue;
      if (name.endsWith('/')) {
        yield* this.walk(key, prefix);
      } else {
        const found = await guarded(() => this.look(key));
        if (found) yield found;
      }
    }
  }
}

/** Fails with EEXIST when `to` is there; a rename would replace it. */
async function linkNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (['EEXIST', 'ENOENT'].includes(codeOf(error) ?? '')) throw error;
    // A file system without hard links.
    await copyFile(from, to, constants.COPYFILE_EXCL);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '');
}

function asStorageError(error: unknown): SparankError {
  if (error instanceof SparankError) return error;
  const code = codeOf(error) ?? '';
  const detail = ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code)
    ? 'the storage is full'
    : `the storage failed${code === '' ? '' : ` (${code})`}`;
  const kind = ownFault(error) === null ? InfrastructureError : OwnFaultError;
  return new kind('storage_unavailable', detail, { cause: error });
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asStorageError(error);
  }
}
