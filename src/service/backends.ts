import type { Config } from '../config/index.js';
import { openDatabase, startEmbedded } from '../database/index.js';
import type { Database } from '../database/repositories.js';
import { whileInCharge } from '../maintenance/in-charge.js';
import { startJanitor } from '../maintenance/janitor.js';
import type { Log } from '../observability/log.js';
import type { Metrics } from '../observability/metrics.js';
import { startReconciler } from '../maintenance/reconciler.js';
import { startRelay } from '../maintenance/relay.js';
import { openQueue } from '../queue/index.js';
import type { TaskQueue } from '../queue/queue.js';
import { openStorage } from '../storage/open.js';
import type { Storage } from '../storage/storage.js';

/** The three things a process of the service talks to. */
export interface Backends {
  database: Database;
  queue: TaskQueue;
  storage: Storage;
  close(): Promise<void>;
}

/** `quiet`: one of many processes. Opens what the settings name, and the embedded PostgreSQL where they name none. */
export async function openBackends(config: Config, logger: Log, { quiet = false } = {}): Promise<Backends> {
  const opened: (() => Promise<void>)[] = [];
  const close = async () => {
    // In the opposite order, and all of them whatever happens to one.
    for (let shut = opened.pop(); shut !== undefined; shut = opened.pop()) {
      await shut().catch((error: unknown) => logger.warn({ err: error }, 'a backend did not close cleanly'));
    }
  };
  try {
    const storage = await openStorage(config);
    let url = config.DATABASE_URL;
    if (url === undefined) {
      const embedded = await startEmbedded(config.DATA_DIR, logger);
      opened.push(() => embedded.stop());
      url = embedded.url;
    }
    const database = await openDatabase({ url, settings: config, logger, quiet });
    opened.push(() => database.close());
    const queue = openQueue(config, url, logger);
    opened.push(() => queue.close());
    return { database, queue, storage, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The loops that keep jobs moving: relay, reconciler and janitor. Every process can run them, and one does. */
export function startMaintenance(
  { database, queue, storage }: Omit<Backends, 'close'>,
  config: Pick<Config, 'SWEEP'>,
  logger: Log,
  metrics: Metrics,
): Pick<Backends, 'close'> {
  const { charge } = database;
  const parts = [
    whileInCharge({
      part: 'queue',
      charge,
      logger,
      start: () => [
        startRelay({ database, queue, logger }),
        startReconciler({ database, queue, logger, onReport: metrics.reconciled }),
      ],
    }),
    whileInCharge({
      // One that must not sweep does not keep those that do from it.
      part: config.SWEEP === 'off' ? 'expiry' : 'janitor',
      charge,
      logger,
      start: () => [startJanitor({ database, storage, logger, metrics }, config)],
    }),
  ];
  return {
    async close() {
      await Promise.all(parts.map((part) => part.close()));
    },
  };
}
