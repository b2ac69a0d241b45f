import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../database/repositories.js';
import { InfrastructureError, OwnFaultError } from '../errors/index.js';
import type { Storage } from '../storage/storage.js';

/** More than file systems keep back for small files. */
const BYTES = 4 << 20;
const ANSWER_MS = 30_000;

export interface ProbeDeps {
  /** Where the worker's scratch files are. */
  directory: string;
  storage: Pick<Storage, 'check'>;
  database: Pick<Database, 'check'>;
}

/** Whether the worker can do its work: writes and reads on its disk, in the storage, and speaks to the database. */
export async function probe({ directory, storage, database }: ProbeDeps): Promise<void> {
  await probeDisk(directory);
  await within(storage.check(), 'storage_unavailable', 'the storage does not answer');
  await within(database.check(), 'unavailable', 'the database does not answer');
}

async function probeDisk(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, `probe.${randomBytes(4).toString('hex')}`);
  // Not a single value, which a file system might store as a hole.
  const written = randomBytes(BYTES);
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(written);
      await file.sync();
    } finally {
      await file.close();
    }
    if (!written.equals(await readFile(path)))
      throw new OwnFaultError('compute_failed', 'the disk gave back something else than was written');
  } finally {
    await rm(path, { force: true });
  }
}

async function within(work: Promise<void>, code: 'storage_unavailable' | 'unavailable', detail: string): Promise<void> {
  const timeout = new AbortController();
  const late = sleep(ANSWER_MS, undefined, { signal: timeout.signal }).then(() => {
    throw new InfrastructureError(code, detail);
  });
  late.catch(() => undefined);
  try {
    await Promise.race([work, late]);
  } finally {
    timeout.abort();
    work.catch(() => undefined);
  }
}
