import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { createPostgresBackend, withBackend, type Queue as RedisQueue } from 'bullmq';
import { PostgresClient } from '../database/connection/postgres-client.js';
import type { TaskMessage } from './queue.js';
import { type Backend, BOARD_OPTIONS, QUEUE_OPTIONS, WORKER_OPTIONS } from './bullmq-queue.js';

const { Queue, Worker } = withBackend(createPostgresBackend);

/** BullMQ on PostgreSQL, in a schema of its own (`bullmq`) that it migrates itself. */
export function postgresBackend(url: string): Backend {
  const connection = {
    connectionString: url,
    migrate: true,
    max: 3,
    keepAlive: true,
    connectionTimeoutMillis: 5000,
    Client: PostgresClient,
  };
  return {
    openQueue(name) {
      const queue = new Queue<TaskMessage, void>(name, { ...QUEUE_OPTIONS, connection });
      // The adapter knows both backends; its types name one.
      return { queue, board: new BullMQAdapter(queue as unknown as RedisQueue, BOARD_OPTIONS) };
    },
    createWorker: (name, process, concurrency) =>
      new Worker<TaskMessage, void>(name, process, { ...WORKER_OPTIONS, concurrency, connection }),
    // Queue and Worker own their connections and close them.
    close: () => Promise.resolve(),
  };
}
