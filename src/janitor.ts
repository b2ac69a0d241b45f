import type { Database } from './database/repositories.js';
import type { Log } from './log.js';
import { type Loop, startLoop } from './queue/loop.js';
import type { Storage } from './storage/storage.js';

const INTERVAL_MS = 10 * 60_000;
const BATCH = 500;

/** Deletes uploads and artifacts whose time is over: first the rows, so that nobody is given a file that is about to go. */
export function startJanitor(deps: {
  database: Pick<Database, 'pool'>;
  storage: Pick<Storage, 'delete'>;
  logger: Log;
}): Pick<Loop, 'close'> {
  const turn = async () => {
    for (
      let keys = await deps.database.pool.expire(BATCH);
      keys.length > 0;
      keys = await deps.database.pool.expire(BATCH)
    ) {
      for (const key of keys) await deps.storage.delete(key);
      deps.logger.info({ files: keys.length }, 'expired files deleted');
    }
  };
  return startLoop('janitor', turn, INTERVAL_MS, deps.logger);
}
