import type { Database } from '../database/repositories.js';
import { killPoint } from '../fault-injection/kill-point.js';
import type { Log } from '../observability/log.js';
import { type Loop, startLoop } from './loop.js';
import type { TaskQueue } from '../queue/queue.js';

const POLL_MS = 1000;
/** Hundreds of jobs a second wake it as often; it takes a quarter of the time then, and sees all of them at its next turn. */
const REST = { turns: 3, mostMs: 100 };

export interface RelayDeps {
  database: Pick<Database, 'pool' | 'notifications'>;
  queue: Pick<TaskQueue, 'add'>;
  logger: Log;
}

type TurnDeps = Omit<RelayDeps, 'database'> & { database: Pick<Database, 'pool'> };

/** Moves waiting tasks into the queue, in fair order, few at a time. One in every process is fine: they take turns. */
export function startRelay({ database, queue, logger }: RelayDeps): Pick<Loop, 'close'> {
  const loop = startLoop('relay', () => relayOnce({ database, queue, logger }), POLL_MS, logger, REST);
  const unsubscribe = database.notifications.subscribe('tasks', () => loop.wake());
  return {
    async close() {
      unsubscribe();
      await loop.close();
    },
  };
}

/** One turn. Dying between its two halves leaves released tasks that the reconciler misses in the queue. */
export async function relayOnce({ database, queue, logger }: TurnDeps): Promise<number> {
  const tasks = (await database.pool.release()) ?? [];
  if (tasks.length > 0) killPoint('released');
  const results = await Promise.allSettled(tasks.map((task) => queue.add(task)));
  if (tasks.length > 0) killPoint('queued');
  for (const [i, result] of results.entries()) {
    const task = tasks[i];
    if (result.status === 'fulfilled' || task === undefined) continue;
    logger.warn({ err: result.reason as unknown, ...task }, 'the queue did not take a task');
    await database.pool.unrelease(task.taskId, task.attempt);
  }
  return tasks.length;
}
