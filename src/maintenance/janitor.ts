import type { Database } from '../database/repositories.js';
import type { Config } from '../config/index.js';
import { UPLOADS_PREFIX } from '../jobs/files.js';
import type { Log } from '../observability/log.js';
import type { Metrics } from '../observability/metrics.js';
import { type Loop, startLoop } from './loop.js';
import { type OwnerDeps, ownership } from './storage-owner.js';
import type { Storage } from '../storage/storage.js';
import { deleteAll } from './delete-all.js';
import { sweep, type SweepDeps, type Swept } from './sweep.js';

const EXPIRE_MS = 10 * 60_000;
/** Lists every file, so not often: what it finds is left by killed processes only. */
const SWEEP_MS = 60 * 60_000;
/** Rows of one statement. With a job go its tasks, layers and events, which are hundreds. */
const BATCH = 100;

export interface JanitorDeps {
  database: Pick<Database, 'pool'>;
  storage: Pick<Storage, 'delete'>;
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

/** A storage that went to another database while this process ran has files that are none of its business. */
const onOwnFiles = (deps: SweepDeps & OwnerDeps, what: Swept) => async () => {
  const { whose, fault } = await ownership(deps);
  if (whose === 'own') await sweep(deps, what);
  else deps.logger.error({ fault }, 'nothing is swept: the storage is not (or not yet) that of this database');
};

export function startJanitor(
  deps: JanitorDeps & SweepDeps & OwnerDeps,
  { SWEEP }: Pick<Config, 'SWEEP'>,
): Pick<Loop, 'close'> {
  const loops = [
    startLoop('janitor: expiry', () => expireFiles(deps), { intervalMs: EXPIRE_MS, logger: deps.logger }),
    startLoop('janitor: rows', () => expireRows(deps), { intervalMs: EXPIRE_MS, logger: deps.logger }),
    ...(SWEEP === 'off'
      ? []
      : [
          startLoop('janitor: sweep of jobs', onOwnFiles(deps, 'jobs'), { intervalMs: SWEEP_MS, logger: deps.logger }),
          startLoop('janitor: sweep of uploads', onOwnFiles(deps, 'uploads'), {
            intervalMs: SWEEP_MS,
            logger: deps.logger,
          }),
        ]),
  ];
  return {
    async close() {
      await Promise.all(loops.map((loop) => loop.close()));
    },
  };
}
