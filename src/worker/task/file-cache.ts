import { createHash, randomBytes } from 'node:crypto';
import { copyFile, link, mkdir, readdir, rename, rm, stat, statfs, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobInput } from '../../jobs/tasks.js';
import { missing } from '../../storage/keys.js';
import type { Storage } from '../../storage/storage.js';

const TEMPORARY = '.part';
/** A download that has not been touched for this long belongs to no one. */
const ABANDONED_MS = 3_600_000;
/** What copies leave of the disk, at most this share of it: tasks write there too, and copies can be had again. */
const RESERVE_BYTES = 2 * 2 ** 30;
const RESERVE_SHARE = 0.1;

export type StoredFile = Pick<JobInput, 'key' | 'bytes' | 'sha256'>;

/** Bytes that are missing to the reserve of the disk of a directory. */
async function lackingBytes(directory: string): Promise<number> {
  const { bsize, blocks, bavail } = await statfs(directory);
  return Math.max(0, Math.min(RESERVE_BYTES, RESERVE_SHARE * blocks * bsize) - bavail * bsize);
}

/**
 * Local copies of stored objects, by storage key and content. Several processes may share the
 * directory: a task gets a hard link of its own, so evicting a file never takes it from a running task.
 */
export class FileCache {
  private readonly directory: string;
  private readonly storage: Storage;
  private readonly maxBytes: number;
  private readonly lacking: (directory: string) => Promise<number>;
  private readonly loading = new Map<string, Promise<void>>();

  constructor(directory: string, storage: Storage, maxBytes: number, lacking = lackingBytes) {
    this.directory = directory;
    this.storage = storage;
    this.maxBytes = maxBytes;
    this.lacking = lacking;
  }

  /** Makes the object `key` appear at `path`, downloading it when it is not here or has another size. */
  async fetch({ key, bytes, sha256 }: StoredFile, path: string, signal: AbortSignal): Promise<void> {
    // The content too: after the database was restored, an attempt of the same number writes to the same key again.
    const name = createHash('sha256').update(`${key} ${sha256}`).digest('hex');
    const cached = join(this.directory, name);
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    // Also for a file that is here: otherwise a disk that copies have filled would stay full, and every task on it
    // fail.
    if ((await this.lacking(this.directory)) > 0) await this.makeRoom(0);
    // A second pass covers an eviction by another process between the look and the link.
    for (let pass = 0; ; pass++) {
      const found = await stat(cached).catch(() => null);
      if (found?.size !== bytes) await this.load(key, cached, bytes, signal);
      try {
        const now = new Date();
        await utimes(cached, now, now);
        await linkOrCopy(cached, path);
        return;
      } catch (error) {
        if (pass >= 2 || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
  }

  private async load(key: string, cached: string, bytes: number, signal: AbortSignal): Promise<void> {
    const waiting = this.loading.get(cached);
    // The other caller may have been canceled: its failure is not ours, the pass in fetch() decides.
    if (waiting) return waiting.catch(() => this.download(key, cached, bytes, signal));
    const loading = this.download(key, cached, bytes, signal).finally(() => this.loading.delete(cached));
    this.loading.set(cached, loading);
    return loading;
  }

  private async download(key: string, cached: string, bytes: number, signal: AbortSignal): Promise<void> {
    await this.makeRoom(bytes);
    const temporary = `${cached}.${randomBytes(4).toString('hex')}${TEMPORARY}`;
    try {
      await this.storage.download(key, temporary, signal);
      // Part of a file is a lost file.
      if ((await stat(temporary)).size !== bytes) throw missing(key);
      await rename(temporary, cached);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /** Drops the files that were not used for longest until `bytes` more fit, and the disk has its reserve. */
  private async makeRoom(bytes: number): Promise<void> {
    const names = await readdir(this.directory);
    const files = await Promise.all(
      names.map(async (name) => {
        const path = join(this.directory, name);
        const found = await stat(path).catch(() => null);
        return found ? { path, name, bytes: found.size, used: found.mtimeMs } : null;
      }),
    );
    const known = files.filter((file) => file !== null).sort((a, b) => a.used - b.used);
    let total = known.reduce((sum, file) => sum + file.bytes, bytes);
    let lacking = await this.lacking(this.directory);
    for (const file of known) {
      const temporary = file.name.endsWith(TEMPORARY);
      const drop = temporary ? Date.now() - file.used > ABANDONED_MS : total > this.maxBytes || lacking > 0;
      if (!drop) continue;
      await rm(file.path, { force: true });
      total -= file.bytes;
      lacking -= file.bytes;
    }
  }
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EEXIST') throw error;
    // Some file systems have no hard links.
    await copyFile(from, to);
  }
}
