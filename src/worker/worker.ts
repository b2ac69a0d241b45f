import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../config/index.js';
import { laneOf } from '../scheduling/worker-classes.js';
import type { FilesNeeded } from '../pipeline/step.js';
import type { Database } from '../database/repositories.js';
import type { TaskConsumer, TaskQueue } from '../queue/queue.js';
import type { Storage } from '../storage/storage.js';
import { openScratch } from '../storage/scratch.js';
import type { Telemetry } from '../observability/telemetry.js';
import { isOutage, untilItWorks } from './backoff.js';
import { ComputeProcess } from './compute/compute-process.js';
import { findDevice } from './device/device.js';
import { FileCache } from './task/file-cache.js';
import { stepLimits } from './limits.js';
import { keepRegistered } from './registration.js';
import { runTask, type TaskDeps } from './task/task-run.js';

export interface WorkerDeps {
  database: Database;
  queue: TaskQueue;
  storage: Storage;
  config: Config;
  logger: Logger;
  metrics: TaskDeps['metrics'];
  telemetry?: Telemetry;
  /** Workers in this process, which share its cores. */
  workersInProcess?: number;
  /** The compute process's entry; tests bring their own steps. */
  module?: string;
  filesNeeded: FilesNeeded;
}

export interface RunningWorker {
  readonly id: string;
  /** The compute process, while there is one. */
  readonly childPid: number | null;
  /** Takes no more tasks, waits `graceSeconds` for the running one, then hands it back. */
  close(graceSeconds: number): Promise<void>;
}

/** Starts one worker: one device, one compute process, one task at a time. */
export async function startWorker(deps: WorkerDeps): Promise<RunningWorker> {
  const { config, database, queue, storage } = deps;
  const id = `wrk_${randomBytes(9).toString('base64url').replace(/[-_]/g, 'x')}`;
  const logger = deps.logger.child({ worker_id: id });
  const device = await findDevice(config, deps.workersInProcess ?? 1);
  const scratch = await openScratch(config.DATA_DIR);
  if (scratch.stale.length > 0)
    logger.info({ stale: scratch.stale }, 'removed scratch files of processes that are gone');
  const compute = new ComputeProcess(deps.module);
  const stopping = new AbortController();
  const shutdown = new AbortController();

  let consumer: TaskConsumer | null = null;
  let draining = false;
  /** Told by the table of workers: an operator wants this one to end its task and take no more, or to go on. */
  async function obey(wanted: boolean): Promise<void> {
    if (consumer === null || wanted === draining || stopping.signal.aborted) return;
    draining = wanted;
    logger.info(wanted ? 'draining: the worker takes no more tasks' : 'the worker takes tasks again');
    if (wanted) await consumer.pause();
    else consumer.resume();
  }

  const registration = keepRegistered(
    database,
    {
      id,
      engine: device.engine,
      device: device.name,
      threads: device.threads,
      slots: 1,
      class: device.class,
      deviceMemoryBytes: device.deviceMemoryBytes,
    },
    { logger, onState: ({ draining: wanted }) => obey(wanted) },
  );

  const running = new Set<Promise<void>>();
  const task = {
    config,
    database,
    storage,
    cache: new FileCache(join(config.DATA_DIR, 'cache'), storage, config.CACHE_BYTES),
    compute,
    filesNeeded: deps.filesNeeded,
    metrics: deps.metrics,
    ...(deps.telemetry === undefined ? {} : { telemetry: deps.telemetry }),
    engine: device.engine,
    limits: stepLimits(config),
    threads: device.threads,
    workerId: id,
    scratch: scratch.path,
    logger,
    shutdown: shutdown.signal,
  };
  const ready = untilItWorks(
    async () => {
      await registration.now();
      consumer = await queue.consume(
        (message) => {
          const run = runTask(task, message).finally(() => running.delete(run));
          running.add(run);
          return run;
        },
        { concurrency: 1, lane: laneOf(device) },
      );
    },
    {
      signal: stopping.signal,
      retry: isOutage,
      onFailure: (error, wait) => logger.warn({ err: error, wait_ms: wait }, 'cannot start yet'),
    },
  );
  ready.then(
    () => logger.info({ device, pid: process.pid }, 'the worker is ready'),
    (error: unknown) => stopping.signal.aborted || logger.error({ err: error }, 'the worker cannot start'),
  );

  return {
    id,
    get childPid() {
      return compute.pid;
    },
    async close(graceSeconds) {
      stopping.abort();
      await ready.catch(() => undefined);
      const timer = setTimeout(() => shutdown.abort(), graceSeconds * 1000);
      await consumer?.pause();
      await Promise.all(running);
      clearTimeout(timer);
      shutdown.abort();
      await consumer?.close(1);
      await compute.stop();
      registration.stop();
      await database.workers.remove(id).catch((error: unknown) => logger.debug({ err: error }, 'could not sign off'));
      await scratch.remove();
      logger.info('the worker has stopped');
    },
  };
}
