import type { Database } from '../database/repositories.js';
import { jobOfKey, JOBS_PREFIX, UPLOADS_PREFIX } from '../jobs/files.js';
import type { Log } from '../observability/log.js';
import type { Metrics } from '../observability/metrics.js';
import { type Loop, startLoop } from './loop.js';
import { type OwnerDeps, ownership } from './storage-owner.js';
import type { Storage, StoredObject } from '../storage/storage.js';

const EXPIRE_MS = 10 * 60_000;
/** Lists every file, so not often: what it finds is left by killed processes only. */
const SWEEP_MS = 60 * 60_000;
const BATCH = 500;
/** Files of a job that PostgreSQL does not know wait, for the sake of whoever is restoring a backup. */
const STRAY_HOURS = 6;
/** More than the longest request: S3 dates a file from the start of its upload. */
const STRAY_UPLOAD_HOURS = 24;

export interface JanitorDeps {
  database: Pick<Database, 'pool'>;
  storage: Pick<Storage, 'delete' | 'list'>;
  logger: Log;
  metrics: Pick<Metrics, 'removed' | 'removalFailed'>;
}

/**
 * Deletes uploads and artifacts whose time is over: first the rows, so that nobody is given a file that is about to go.
 * What a crash or a failing storage leaves of them is for the sweep.
 */
export async function expireFiles(deps: JanitorDeps): Promise<void> {
  const { database, logger, metrics } = deps;
  for (let keys = await database.pool.expire(BATCH); keys.length > 0; keys = await database.pool.expire(BATCH)) {
    const uploads = keys.filter((key) => key.startsWith(UPLOADS_PREFIX)).length;
    metrics.removed('upload', uploads);
    metrics.removed('artifact', keys.length - uploads);
    logger.info(
      { uploads, artifacts: keys.length - uploads, files: await deleteAll(deps, keys) },
      'expired files deleted',
    );
  }
}

/** Deletes finished jobs, logs of webhooks, answers for idempotency keys and workers whose time is over. */
export async function expireRows({ database, logger, metrics }: JanitorDeps): Promise<void> {
  for (let full = true; full;) {
    const rows = await database.pool.expireRows(BATCH);
    for (const [what, count] of Object.entries(rows)) metrics.removed(what, count);
    full = Object.values(rows).includes(BATCH);
    if (Object.values(rows).some((count) => count > 0)) logger.info({ rows }, 'expired rows deleted');
  }
}

/**
 * Deletes the files of jobs that no one will read again: of attempts that were not committed, of finished work, of jobs
 * that are gone. A file is listed before PostgreSQL is asked, so one that is about to be committed is still in use then.
 */
export function sweepJobs(deps: JanitorDeps): Promise<number> {
  return sweep(deps, JOBS_PREFIX, 'stray_job_file', async (batch) => {
    const inUse = await deps.database.pool.filesInUse([...new Set(batch.map(({ key }) => jobOfKey(key)))]);
    return batch.filter((file) => {
      const kept = inUse.get(jobOfKey(file.key));
      if (kept === undefined) return isOlder(file, STRAY_HOURS);
      return !kept.some((one) => (one.endsWith('/') ? file.key.startsWith(one) : file.key === one));
    });
  });
}

/** Deletes uploads without a row: a process died between the file and its row, or between the row and the file. */
export function sweepUploads(deps: JanitorDeps): Promise<number> {
  return sweep(deps, UPLOADS_PREFIX, 'stray_upload_file', async (batch) => {
    const old = batch.filter((file) => isOlder(file, STRAY_UPLOAD_HOURS));
    const known = await deps.database.pool.uploadsInUse(old.map(({ key }) => key));
    return old.filter(({ key }) => !known.has(key));
  });
}

const isOlder = ({ modifiedAt }: StoredObject, hours: number) => Date.now() - modifiedAt.getTime() > hours * 3600_000;

async function sweep(
  deps: JanitorDeps,
  prefix: string,
  what: string,
  choose: (batch: StoredObject[]) => Promise<StoredObject[]>,
): Promise<number> {
  let deleted = 0;
  const sweepBatch = async (batch: StoredObject[]) => {
    if (batch.length === 0) return;
    const left = await choose(batch);
    deleted += await deleteAll(
      deps,
      left.map(({ key }) => key),
    );
  };
  let batch: StoredObject[] = [];
  for await (const file of deps.storage.list(prefix)) {
    batch.push(file);
    if (batch.length < BATCH) continue;
    await sweepBatch(batch);
    batch = [];
  }
  await sweepBatch(batch);
  deps.metrics.removed(what, deleted);
  if (deleted > 0) deps.logger.info({ files: deleted }, 'files that were left behind deleted');
  return deleted;
}

/** Goes on past what cannot be deleted: the next sweep finds it again. Returns how many are gone. */
async function deleteAll({ storage, logger, metrics }: JanitorDeps, keys: string[]): Promise<number> {
  let failed = 0;
  for (const key of keys) {
    try {
      await storage.delete(key);
    } catch (error) {
      failed++;
      logger.warn({ err: error, key }, 'a file could not be deleted');
    }
  }
  metrics.removalFailed('file', failed);
  return keys.length - failed;
}

/** A storage that went to another database while this process ran has files that are none of its business. */
const onOwnFiles = (deps: JanitorDeps & OwnerDeps, sweepFiles: (deps: JanitorDeps) => Promise<unknown>) => async () => {
  const { whose, fault } = await ownership(deps);
  if (whose === 'own') await sweepFiles(deps);
  else deps.logger.error({ fault }, 'nothing is swept: the storage is not (or not yet) that of this database');
};

export function startJanitor(deps: JanitorDeps & OwnerDeps): Pick<Loop, 'close'> {
  const loops = [
    startLoop('janitor: expiry', () => expireFiles(deps), EXPIRE_MS, deps.logger),
    startLoop('janitor: rows', () => expireRows(deps), EXPIRE_MS, deps.logger),
    startLoop('janitor: sweep of jobs', onOwnFiles(deps, sweepJobs), SWEEP_MS, deps.logger),
    startLoop('janitor: sweep of uploads', onOwnFiles(deps, sweepUploads), SWEEP_MS, deps.logger),
  ];
  return {
    async close() {
      await Promise.all(loops.map((loop) => loop.close()));
    },
  };
}
