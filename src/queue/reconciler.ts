import type { Database } from '../database/repositories.js';
import type { Log } from '../log.js';
import { type Loop, startLoop } from './loop.js';
import type { TaskQueue } from './queue.js';

const POLL_MS = 2000;

export interface ReconcilerDeps {
  database: Pick<Database, 'pool'>;
  queue: Pick<TaskQueue, 'has'>;
  logger: Log;
  /** Told what was put right, by what it was. */
  onReport?: (what: string, count: number) => void;
  /** @defaultValue 2000 */
  intervalMs?: number;
}

/** Puts right what a killed worker, a flushed queue or a lost message left behind. */
export function startReconciler({
  database,
  queue,
  logger,
  onReport,
  intervalMs = POLL_MS,
}: ReconcilerDeps): Pick<Loop, 'close'> {
  const turn = async () => {
    const report = await database.pool.reconcile((task) => queue.has(task));
    for (const [what, count] of Object.entries(report) as [string, number][]) onReport?.(what, count);
    if (Object.values(report).some((n: number) => n > 0)) logger.info({ report }, 'reconciled');
  };
  return startLoop('reconciler', turn, intervalMs, logger);
}
