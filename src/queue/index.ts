import type { Config } from '../config/index.js';
import type { Log } from '../observability/log.js';
import { bullmqQueue } from './bullmq-queue.js';
import { postgresBackend } from './postgres-backend.js';
import type { TaskQueue } from './queue.js';
import { redisBackend } from './redis-backend.js';

export * from './queue.js';

/** Redis when there is a URL for it, else BullMQ's tables in the database. */
export function openQueue(config: Pick<Config, 'REDIS_URL'>, databaseUrl: string, logger: Log): TaskQueue {
  const { REDIS_URL } = config;
  return bullmqQueue(REDIS_URL === undefined ? postgresBackend(databaseUrl) : redisBackend(REDIS_URL, logger), logger);
}
