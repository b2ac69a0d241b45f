import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Database } from '../database/repositories.js';
import { InfrastructureError, OwnFaultError } from '../errors/index.js';
import { within } from '../errors/within.js';
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

const silent = (code: 'storage_unavailable' | 'unavailable', who: string) =>
  new InfrastructureError(code, `the ${who} does not answer`);

/** Whether the worker can do its work: writes and reads on its disk, in the storage, and speaks to the database. */
export async function probe({ directory, storage, database }: ProbeDeps): Promise<void> {
  await probeDisk(directory);
  await within(storage.check(), ANSWER_MS, () => silent('storage_unavailable', 'storage'));
  await within(database.check(), ANSWER_MS, () => silent('unavailable', 'database'));
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
