import type { Database } from './database/repositories.js';
import { jobOfKey, JOBS_PREFIX } from './jobs/files.js';
import type { Log } from './log.js';
import { type Loop, startLoop } from './queue/loop.js';
import type { Storage, StoredObject } from './storage/storage.js';

const EXPIRE_MS = 10 * 60_000;
/** Lists every file of every job, so not often: what it finds is left by killed processes only. */
const SWEEP_MS = 60 * 60_000;
const BATCH = 500;
/** Files of a job that PostgreSQL does not know wait, for the sake of whoever is restoring a backup. */
const STRAY_HOURS = 6;

export interface JanitorDeps {
  database: Pick<Database, 'pool'>;
  storage: Pick<Storage, 'delete' | 'list'>;
  logger: Log;
}

/** Deletes uploads and artifacts whose time is over: first the rows, so that nobody is given a file that is about to go. */
export async function expireFiles({ database, storage, logger }: JanitorDeps): Promise<void> {
  for (let keys = await database.pool.expire(BATCH); keys.length > 0; keys = await database.pool.expire(BATCH)) {
    for (const key of keys) await storage.delete(key);
    logger.info({ files: keys.length }, 'expired files deleted');
  }
}

/**
 * Deletes the files of jobs that no one will read again: of attempts that were not committed, of finished work, of jobs
 * that are gone. A file is listed before PostgreSQL is asked, so one that is about to be committed is still in use then.
 */
export async function sweepJobs({ database, storage, logger }: JanitorDeps): Promise<number> {
  let deleted = 0;
  const sweep = async (batch: StoredObject[]) => {
    const inUse = await database.pool.filesInUse([...new Set(batch.map(({ key }) => jobOfKey(key)))]);
    for (const { key, modifiedAt } of batch) {
      const kept = inUse.get(jobOfKey(key));
      const keep = kept
        ? kept.some((one) => (one.endsWith('/') ? key.startsWith(one) : key === one))
        : Date.now() - modifiedAt.getTime() < STRAY_HOURS * 3600_000;
      if (keep) continue;
      await storage.delete(key);
      deleted++;
    }
  };
  let batch: StoredObject[] = [];
  for await (const file of storage.list(JOBS_PREFIX)) {
    batch.push(file);
    if (batch.length < BATCH) continue;
    await sweep(batch);
    batch = [];
  }
  if (batch.length > 0) await sweep(batch);
  if (deleted > 0) logger.info({ files: deleted }, 'files that were left behind deleted');
  return deleted;
}

export function startJanitor(deps: JanitorDeps): Pick<Loop, 'close'> {
  const loops = [
    startLoop('janitor: expiry', () => expireFiles(deps), EXPIRE_MS, deps.logger),
    startLoop('janitor: sweep', () => sweepJobs(deps), SWEEP_MS, deps.logger),
  ];
  return {
    async close() {
      await Promise.all(loops.map((loop) => loop.close()));
    },
  };
}
