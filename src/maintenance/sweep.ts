import type { JobFilesInUse, SweepHolds } from '../database/records.js';
import type { Database } from '../database/repositories.js';
import { attemptOfKey, jobOfKey, JOBS_PREFIX, UPLOADS_PREFIX } from '../jobs/files.js';
import type { Log } from '../observability/log.js';
import type { Metrics } from '../observability/metrics.js';
import type { Storage, StoredObject } from '../storage/storage.js';
import { deleteAll } from './delete-all.js';

const BATCH = 500;
/** Files of jobs and attempts that PostgreSQL does not know wait, for the sake of whoever is restoring a backup. */
const STRAY_HOURS = 6;
/** More than the longest request: S3 dates a file from the start of its upload. */
const STRAY_UPLOAD_HOURS = 24;
/**
 * Killed processes leave so many; and so large a share of all files only where the database is the wrong one, or too
 * old.
 */
const USUAL_FILES = 20;
const USUAL_SHARE = 0.05;
/** Keys that one sweep remembers: the next one takes the rest. */
const MOST = 50_000;

export type Swept = keyof SweepHolds;

export interface SweepDeps {
  database: Pick<Database, 'pool' | 'installation'>;
  storage: Pick<Storage, 'delete' | 'list'>;
  logger: Log;
  metrics: Pick<Metrics, 'removed' | 'removalFailed' | 'sweepStopped'>;
}

export interface SweepReport {
  /** Files that were looked at. */
  seen: number;
  /** Files that nobody will read again. */
  unneeded: number;
  /** Those of them that the database has never heard of. */
  unknown: number;
  removed: number;
  /** Nothing was removed: what is unknown is too much. */
  stopped: boolean;
}

interface Unneeded {
  key: string;
  /** Whether the database knows the upload or the attempt that it is of. */
  known: boolean;
}

const SWEEPS: Record<
  Swept,
  { prefix: string; what: string; choose: (deps: SweepDeps, batch: StoredObject[]) => Promise<Unneeded[]> }
> = {
  jobs: {
    prefix: JOBS_PREFIX,
    what: 'stray_job_file',
    // A file is listed before PostgreSQL is asked, so one that is about to be committed is still in use then.
    async choose({ database }, batch) {
      const jobs = await database.pool.filesInUse([...new Set(batch.map(({ key }) => jobOfKey(key)))]);
      return batch.flatMap((file) => {
        const job = jobs.get(jobOfKey(file.key));
        if (job !== undefined && isInUse(file.key, job)) return [];
        const known = job !== undefined && isKnown(file.key, job);
        return known || isOlder(file, STRAY_HOURS) ? [{ key: file.key, known }] : [];
      });
    },
  },
  uploads: {
    prefix: UPLOADS_PREFIX,
    what: 'stray_upload_file',
    async choose({ database }, batch) {
      const old = batch.filter((file) => isOlder(file, STRAY_UPLOAD_HOURS)).map(({ key }) => key);
      const known = await database.pool.uploadsInUse(old);
      return old.flatMap((key) => (known.has(key) ? [] : [{ key, known: false }]));
    },
  },
};

const isOlder = ({ modifiedAt }: StoredObject, hours: number) => Date.now() - modifiedAt.getTime() > hours * 3600_000;

export const isInUse = (key: string, { inUse }: JobFilesInUse): boolean =>
  inUse.some((one) => (one.endsWith('/') ? key.startsWith(one) : key === one));

/**
 * Of an attempt that the database has seen, or has left behind: an older database may know the job, but not what it did
 * later.
 */
function isKnown(key: string, { attempts }: JobFilesInUse): boolean {
  const of = attemptOfKey(key);
  return of !== null && of.attempt <= (attempts.get(of.task) ?? 0);
}

/**
 * Deletes the files that nobody will read again: of attempts that were not committed, of finished work, of jobs that
 * are gone; and uploads without a row. `careful` stops before it has removed anything when an unusual share is unknown
 * to the database; `told` goes on; `look` removes nothing.
 */
export async function sweep(
  deps: SweepDeps,
  what: Swept,
  how: 'careful' | 'told' | 'look' = 'careful',
): Promise<SweepReport> {
  const { prefix, what: removedWhat, choose } = SWEEPS[what];
  const report: SweepReport = { seen: 0, unneeded: 0, unknown: 0, removed: 0, stopped: false };
  const chosen: string[] = [];
  const take = async (batch: StoredObject[]) => {
    if (batch.length === 0) return;
    report.seen += batch.length;
    for (const { key, known } of await choose(deps, batch)) {
      report.unneeded++;
      if (!known) report.unknown++;
      if (chosen.length < MOST) chosen.push(key);
    }
  };
  let batch: StoredObject[] = [];
  for await (const file of deps.storage.list(prefix)) {
    if (batch.push(file) < BATCH) continue;
    await take(batch);
    batch = [];
  }
  await take(batch);

  report.stopped = report.unknown > USUAL_FILES && report.unknown > USUAL_SHARE * report.seen;
  if (how === 'look') return report;
  if (how === 'careful') await tellOfStop(deps, what, report);
  if (how === 'careful' && report.stopped) return report;
  report.removed = await deleteAll(deps, chosen);
  if (how === 'told') await tellOfStop(deps, what, { ...report, stopped: false });
  deps.metrics.removed(removedWhat, report.removed);
  if (report.removed > 0) deps.logger.info({ files: report.removed }, 'files that were left behind deleted');
  return report;
}

async function tellOfStop({ database, logger, metrics }: SweepDeps, what: Swept, report: SweepReport): Promise<void> {
  const { seen, unknown, stopped } = report;
  metrics.sweepStopped(what, stopped);
  if (stopped) {
    logger.error(
      { what, unknown, seen },
      `nothing below ${SWEEPS[what].prefix} is swept: ${unknown} of ${seen} files are unknown to the database. ` +
        'Is it the right one, and not too old? `sparank storage check` lists them, `sparank storage sweep --delete` goes on',
    );
  }
  const hold = stopped ? { files: unknown, of: seen, since: new Date().toISOString() } : null;
  await database.installation.holdSweep(what, hold);
}

export const sweepJobs = async (deps: SweepDeps): Promise<number> => (await sweep(deps, 'jobs')).removed;

export const sweepUploads = async (deps: SweepDeps): Promise<number> => (await sweep(deps, 'uploads')).removed;
