import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import type { Log } from '../observability/log.js';
import { redisTrouble } from './redis-trouble.js';
import type { TaskMessage } from './queue.js';
import { type Backend, BOARD_OPTIONS, QUEUE_OPTIONS, WORKER_OPTIONS } from './bullmq-queue.js';

/** ms without a byte after a command: the connection is lost. Longer than the longest sleep of a worker. */
const SILENCE_MS = 15_000;

const reconnectMs = (times: number): number => Math.min(50 * 2 ** Math.min(times, 6), 2000);

/** BullMQ on Redis. Producers give up a command when the connection breaks; workers wait, as BullMQ asks for. */
export function redisBackend(url: string, logger: Log, silenceMs = SILENCE_MS): Backend {
  const trouble = redisTrouble('the queue', logger);
  const connect = (maxRetriesPerRequest: number | null) => {
    const redis = new Redis(url, {
      maxRetriesPerRequest,
      retryStrategy: reconnectMs,
      connectTimeout: 5000,
      socketTimeout: silenceMs,
    });
    trouble.watch(redis);
    return redis;
  };
  const producer = connect(1);
  const workers: Redis[] = [];
  return {
    openQueue(name) {
      const options = { ...QUEUE_OPTIONS, connection: producer, skipWaitingForReady: true };
      const queue = new Queue<TaskMessage>(name, options);
      return { queue, board: new BullMQAdapter(queue, BOARD_OPTIONS) };
    },
    createWorker(name, process, concurrency) {
      const connection = connect(null);
      workers.push(connection);
      return new Worker<TaskMessage, void>(name, process, { ...WORKER_OPTIONS, concurrency, connection });
    },
    trouble: () => trouble.reason,
    async advice() {
      const policy = /^maxmemory_policy:(\S+)/m.exec(await producer.info('memory'))?.[1];
      if (policy === undefined || policy === 'noeviction') return [];
      return [
        `Redis has maxmemory-policy ${policy}: when its memory is full it drops messages, which then come late; set noeviction`,
      ];
    },
    async close() {
      for (const redis of [producer, ...workers]) redis.disconnect();
      return Promise.resolve();
    },
  };
}
