import type { BaseAdapter } from '@bull-board/api/baseAdapter';
import { WaitingError } from 'bullmq';
import { setTimeout as sleep } from 'node:timers/promises';
import { InfrastructureError } from '../errors/index.js';
import { within } from '../errors/within.js';
import { PLAIN_CLASS } from '../scheduling/worker-classes.js';
import type { Log } from '../observability/log.js';
import type { TaskConsumer, TaskHandler, TaskMessage, TaskQueue } from './queue.js';

/** BullMQ as a transport: the parts of its Queue and Worker that are used, whatever they are backed by. */
export interface QueueLike {
  add(name: string, data: TaskMessage, options: { jobId: string }): Promise<unknown>;
  addBulk(jobs: { name: string; data: TaskMessage; opts: { jobId: string } }[]): Promise<unknown>;
  getJobState(id: string): Promise<string>;
  getJobCounts(...types: ('wait' | 'active' | 'prioritized' | 'delayed')[]): Promise<Record<string, number>>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  close(): Promise<void>;
}

export interface WorkerLike {
  on(event: 'error', listener: (error: Error) => void): unknown;
  waitUntilReady(): Promise<unknown>;
  pause(doNotWaitActive: boolean): Promise<void>;
  resume(): void;
  close(force: boolean): Promise<void>;
}

/** A message as a worker gets it. */
export interface TakenMessage {
  data: TaskMessage;
  /** Back to the queue, for any worker. */
  moveToWait(token?: string): Promise<unknown>;
}

export type ProcessMessage = (message: TakenMessage, token?: string) => Promise<void>;

export interface Backend {
  /** Opens a queue; called once for each name. */
  openQueue(name: string): { queue: QueueLike; board: BaseAdapter };
  createWorker(name: string, process: ProcessMessage, concurrency: number): WorkerLike;
  /** Why it does not answer, where that is known apart from the calls. */
  trouble?(): Error | null;
  /** What of its settings endangers messages. */
  advice?(): Promise<string[]>;
  close(): Promise<void>;
}

const QUEUE_NAME = 'sparank-tasks';

/** Every worker class has a queue of its own: BullMQ's workers take whatever comes next in theirs. */
const queueName = (workerClass: string): string =>
  workerClass === PLAIN_CLASS ? QUEUE_NAME : `${QUEUE_NAME}-${workerClass}`;

export const QUEUE_OPTIONS = {
  // PostgreSQL decides about attempts; a message that was handled, however it went, must free its id.
  defaultJobOptions: { attempts: 1, removeOnComplete: true, removeOnFail: true },
};

/** Nothing may be changed from there: PostgreSQL would not know. */
export const BOARD_OPTIONS = { readOnlyMode: true, description: 'Tasks that were released to the workers' };

export const WORKER_OPTIONS = {
  removeOnComplete: { count: 0 },
  removeOnFail: { count: 0 },
  /** ms. A message taken by a worker that died before it claimed the task comes back after this. */
  lockDuration: 10_000,
  stalledInterval: 5_000,
  maxStalledCount: 3,
  /** seconds. The longest sleep after which a worker looks again. */
  drainDelay: 5,
  /** ms between tries when the backend does not answer. */
  runRetryDelay: 1_000,
};

/** ms; a client that waits for its server without limit must not stop the relay's loop. */
const ANSWER_DEADLINE_MS = 5_000;

export const messageId = ({ taskId, attempt }: TaskMessage): string => `${taskId}-${attempt}`;

/** What a call fails with says how often it was tried; what is wrong with the connection says why. */
async function answered<T>({ trouble }: Pick<Backend, 'trouble'>, work: Promise<T>): Promise<T> {
  try {
    return await within(work, ANSWER_DEADLINE_MS);
  } catch (error) {
    throw new InfrastructureError('unavailable', 'the queue does not answer', { cause: trouble?.() ?? error });
  }
}

export function bullmqQueue(backend: Backend, logger: Log): TaskQueue {
  const open = new Map<string, ReturnType<Backend['openQueue']>>();
  const queueOf = (name: string = PLAIN_CLASS) => {
    const known = open.get(name);
    if (known !== undefined) return known;
    const opened = backend.openQueue(queueName(name));
    opened.queue.on('error', (error) => logger.debug({ err: error }, 'queue connection trouble'));
    open.set(name, opened);
    return opened;
  };
  const all = (classes: readonly string[]) => {
    for (const name of classes) queueOf(name);
    return [...open.values()];
  };
  queueOf();
  // Kept from their start on: a message may arrive, and the queue be closed, before a consumer is known to be ready.
  const consumers = new Set<Promise<TaskConsumer>>();

  return {
    async add(message) {
      await answered(backend, queueOf(message.workerClass).queue.add('task', message, { jobId: messageId(message) }));
    },
    async addAll(messages) {
      const [first] = messages;
      if (first === undefined) return;
      const jobs = messages.map((data) => ({ name: 'task', data, opts: { jobId: messageId(data) } }));
      await answered(backend, queueOf(first.workerClass).queue.addBulk(jobs));
    },
    async has(message) {
      const state = await answered(backend, queueOf(message.workerClass).queue.getJobState(messageId(message)));
      return !['unknown', 'completed', 'failed'].includes(state);
    },
    async depth(classes = []) {
      const depth = { waiting: 0, active: 0 };
      for (const { queue } of all(classes)) {
        const counts = await answered(backend, queue.getJobCounts('wait', 'active', 'prioritized', 'delayed'));
        for (const [state, n] of Object.entries(counts)) depth[state === 'active' ? 'active' : 'waiting'] += n;
      }
      return depth;
    },
    async check() {
      await answered(backend, queueOf().queue.getJobCounts('wait'));
    },
    advice: async () => (backend.advice === undefined ? [] : answered(backend, backend.advice())),
    async consume(handle, { concurrency, workerClass: name = PLAIN_CLASS }) {
      const starting = startConsumer(backend, queueName(name), { handle, concurrency }, logger);
      consumers.add(starting);
      return starting;
    },
    boards: (classes = []) => all(classes).map(({ board }) => board),
    async close() {
      // One that did not start has closed itself.
      await Promise.all(
        [...consumers].map((starting) => starting.then((consumer) => consumer.close(0)).catch(() => undefined)),
      );
      await Promise.all(
        [...open.values()].map(({ queue }) =>
          queue.close().catch((error: unknown) => logger.debug({ err: error }, 'queue did not close cleanly')),
        ),
      );
      await backend.close();
    },
  };
}

async function startConsumer(
  backend: Backend,
  name: string,
  { handle, concurrency }: { handle: TaskHandler; concurrency: number },
  logger: Log,
): Promise<TaskConsumer> {
  const running = new Set<Promise<void>>();
  let closing: Promise<void> | null = null;
  let paused = false;

  const worker = backend.createWorker(
    name,
    async (taken, token) => {
      const { data } = taken;
      // The server's answer to a take may be under way when the consumer pauses or starts to close: what it brings is
      // another's.
      if (closing !== null || paused) {
        await taken.moveToWait(token).catch((error: unknown) => logger.debug({ err: error }, 'message not given back'));
        throw new WaitingError();
      }
      const run = handle(data).catch((error: unknown) =>
        logger.error({ err: error, ...data }, 'a message could not be handled'),
      );
      running.add(run);
      await run.finally(() => running.delete(run));
    },
    concurrency,
  );
  // Lost locks and connections: the task's state is in PostgreSQL, BullMQ tries again by itself.
  worker.on('error', (error) => logger.debug({ err: error }, 'queue worker trouble'));
  try {
    await answered(backend, worker.waitUntilReady());
  } catch (error) {
    await worker.close(true).catch(() => undefined);
    throw error;
  }

  return {
    async pause() {
      paused = true;
      await worker.pause(true);
    },
    resume() {
      if (closing !== null) return;
      paused = false;
      worker.resume();
    },
    close(deadlineSeconds) {
      closing ??= (async () => {
        await worker.pause(true);
        const stop = new AbortController();
        const deadline = sleep(deadlineSeconds * 1000, undefined, { signal: stop.signal }).catch(() => undefined);
        await Promise.race([Promise.all(running), deadline]);
        stop.abort();
        // BullMQ's own close waits for its handlers without limit. A message let go of comes back, and its claim is
        // refused.
        await worker
          .close(running.size > 0)
          .catch((error: unknown) => logger.debug({ err: error }, 'consumer did not close cleanly'));
      })();
      return closing;
    },
  };
}
