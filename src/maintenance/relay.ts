import type { Database, ReleasableTask } from '../database/repositories.js';
import { killPoint } from '../fault-injection/kill-point.js';
import type { Log } from '../observability/log.js';
import type { ChargedLoop } from './in-charge.js';
import { startLoop } from './loop.js';
import type { TaskQueue } from '../queue/queue.js';

const POLL_MS = 1000;
/**
 * Hundreds of jobs a second wake it as often; it takes a quarter of the time then, and sees all of them at its next
 * turn. While the pool has no place for any it takes less: a place that comes free waits a moment longer, for which
 * workers have tasks in advance.
 */
const REST = { turns: 3, mostMs: 300, idle: { turns: 12, mostMs: 60 } };

export interface RelayDeps {
  database: Pick<Database, 'pool' | 'notifications'>;
  queue: Pick<TaskQueue, 'addAll'>;
  logger: Log;
}

type TurnDeps = Omit<RelayDeps, 'database'> & { database: Pick<Database, 'pool'> };

/** A queue that takes nothing for so long may be out of reach of this process only. */
const REFUSED_MS = 5000;

/** Moves waiting tasks into the queue, in fair order, few at a time. */
export function startRelay({ database, queue, logger }: RelayDeps): ChargedLoop {
  let refusedSince: number | null = null;
  const turn = async () => {
    const begun = performance.now();
    const { released, refused } = await relayOnce({ database, queue, logger });
    if (refused < released) refusedSince = null;
    else if (refused > 0) refusedSince ??= begun;
    return released > 0;
  };
  const loop = startLoop('relay', turn, { intervalMs: POLL_MS, logger, rest: REST });
  const unsubscribe = database.notifications.subscribe('tasks', () => loop.wake());
  return {
    isAble: () => refusedSince === null || performance.now() - refusedSince < REFUSED_MS,
    async close() {
      unsubscribe();
      await loop.close();
    },
  };
}

/** Messages of one call to the queue. */
const BATCH = 250;

export interface RelayTurn {
  released: number;
  /** Of these, by the queue. */
  refused: number;
}

/** One turn. Dying between its two halves leaves released tasks that the reconciler misses in the queue. */
export async function relayOnce({ database, queue, logger }: TurnDeps): Promise<RelayTurn> {
  const tasks = (await database.pool.release()) ?? [];
  if (tasks.length === 0) return { released: 0, refused: 0 };
  killPoint('released');
  const refused: ReleasableTask[] = [];
  for (const batch of batches(tasks)) {
    try {
      await queue.addAll(batch);
    } catch (error) {
      logger.warn(
        { err: error, tasks: batch.length, worker_class: batch[0]?.workerClass },
        'the queue did not take tasks',
      );
      refused.push(...batch);
    }
  }
  killPoint('queued');
  if (refused.length > 0) await database.pool.unrelease(refused);
  return { released: tasks.length, refused: refused.length };
}

/** Each for one worker class, in order. */
function batches(tasks: ReleasableTask[]): ReleasableTask[][] {
  const classes = new Map<string, ReleasableTask[]>();
  for (const task of tasks) {
    const same = classes.get(task.workerClass) ?? [];
    classes.set(task.workerClass, same);
    same.push(task);
  }
  return [...classes.values()].flatMap((same) =>
    Array.from({ length: Math.ceil(same.length / BATCH) }, (_, i) => same.slice(i * BATCH, (i + 1) * BATCH)),
  );
}
