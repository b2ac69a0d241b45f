import type { BaseAdapter } from '@bull-board/api/baseAdapter';
import { WaitingError } from 'bullmq';
import { expect, it } from 'vitest';
import { type Backend, bullmqQueue, type ProcessMessage, type QueueLike } from '../../src/queue/bullmq-queue.js';
import { quietLog } from '../support/log.js';

const data = { taskId: 'tsk_test', attempt: 1 };

/** A backend whose worker is handed its messages by the test. */
function manualBackend() {
  const unused = () => Promise.reject(new Error('not used here'));
  const queue: QueueLike = {
    add: unused,
    addBulk: unused,
    getJobState: unused,
    getJobCounts: unused,
    on: () => undefined,
    close: async () => undefined,
  };
  const closedWithForce: boolean[] = [];
  let process: ProcessMessage = unused;
  const backend: Backend = {
    openQueue: () => ({ queue, board: {} as BaseAdapter }),
    createWorker: (_name, given) => {
      process = given;
      return {
        on: () => undefined,
        waitUntilReady: async () => undefined,
        pause: async () => undefined,
        resume: () => undefined,
        close: async (force) => void closedWithForce.push(force),
      };
    },
    close: async () => undefined,
  };
  return { backend, closedWithForce, deliver: (...given: Parameters<ProcessMessage>) => process(...given) };
}

it('gives a message back that arrives while its consumer closes, and does not wait for it', async () => {
  const { backend, closedWithForce, deliver } = manualBackend();
  const handled: string[] = [];
  const consumer = await bullmqQueue(backend, quietLog).consume(async ({ taskId }) => void handled.push(taskId), {
    concurrency: 1,
  });
  const closing = consumer.close(10);
  const returned: (string | undefined)[] = [];
  await expect(deliver({ data, moveToWait: async (token) => void returned.push(token) }, 'token')).rejects.toThrow(
    WaitingError,
  );
  await closing;
  expect({ handled, returned, closedWithForce }).toEqual({
    handled: [],
    returned: ['token'],
    closedWithForce: [false],
  });
});

it('leaves a message to its lock when it cannot be given back', async () => {
  const { backend, deliver } = manualBackend();
  const consumer = await bullmqQueue(backend, quietLog).consume(async () => undefined, { concurrency: 1 });
  await consumer.close(0);
  const moveToWait = () => Promise.reject(new Error('the connection is gone'));
  await expect(deliver({ data, moveToWait }, 'token')).rejects.toThrow(WaitingError);
});
