import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../config/index.js';
import { workerClassOf } from '../scheduling/worker-classes.js';
import type { FilesNeeded } from '../pipeline/step.js';
import type { Database } from '../database/repositories.js';
import type { TaskMessage, TaskQueue } from '../queue/queue.js';
import type { Storage } from '../storage/storage.js';
import { openScratch } from '../storage/scratch.js';
import type { Telemetry } from '../observability/telemetry.js';
import { asSparankError, classOf } from '../errors/classify.js';
import type { Metrics } from '../observability/metrics.js';
import { answerOrAbort, type Backoff, untilItWorks } from './backoff.js';
import { ComputeProcess } from './compute/compute-process.js';
import { checkEngine } from './device/check-engine.js';
import { findDevice } from './device/device.js';
import { InService, type Trouble } from './in-service.js';
import { Intake } from './intake.js';
import { probe } from './probe.js';
import { FileCache } from './task/file-cache.js';
import { stepLimits } from './limits.js';
import { keepRegistered } from './registration.js';
import type { TaskDeps } from './task/task-deps.js';
import { runTask } from './task/task-run.js';

/** Nobody waits for longer until it is known that a worker has left service. */
const TELL_MS = 3000;

export interface WorkerDeps {
  database: Database;
  queue: TaskQueue;
  storage: Storage;
  config: Config;
  logger: Logger;
  metrics: TaskDeps['metrics'] & Pick<Metrics, 'outOfService'>;
  telemetry?: Telemetry;
  /** Workers in this process, which share its cores. */
  workersInProcess?: number;
  /** The compute process's entry; tests bring their own steps. */
  module?: string;
  filesNeeded: FilesNeeded;
}

export interface WorkerHealth {
  id: string;
  state: 'starting' | 'in_service' | 'out_of_service';
  trouble: Trouble | null;
  /** Whether the trouble is this worker's own. */
  at_fault: boolean;
}

export interface RunningWorker {
  readonly id: string;
  /** The compute process, while there is one. */
  readonly childPid: number | null;
  readonly health: WorkerHealth;
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

  const probeSelf = () => probe({ directory: scratch.path, storage, database });
  const service = new InService({
    async probe({ code }) {
      await probeSelf();
      if (code !== 'storage_unavailable') await checkEngine(config.ENGINE);
    },
    async onChange(trouble) {
      deps.metrics.outOfService(id, trouble?.code ?? null);
      await intake.settle();
      // Those who are told later (the next sign of life tells them) only release tasks here that others take back.
      await answerOrAbort(registration.now(), AbortSignal.timeout(TELL_MS)).catch((error: unknown) =>
        logger.warn({ err: error }, 'could not tell of a change of service'),
      );
    },
    logger,
    signal: stopping.signal,
  });
  const intake = new Intake({ outOfService: () => service.trouble !== null, stopping: stopping.signal, logger });
  const registration = keepRegistered(
    database,
    id,
    () => ({
      engine: device.engine,
      device: device.name,
      threads: device.threads,
      slots: 1,
      class: device.class,
      deviceMemoryBytes: device.deviceMemoryBytes,
      trouble: service.trouble,
    }),
    { logger, onState: ({ draining }) => intake.obey(draining) },
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
    service,
    onDraining: () =>
      void intake.obey(true).catch((error: unknown) => logger.warn({ err: error }, 'could not stop to take tasks')),
    shutdown: shutdown.signal,
  };
  const consume = async () => {
    const handle = (message: TaskMessage) => {
      const run = runTask(task, message).finally(() => running.delete(run));
      running.add(run);
      return run;
    };
    await intake.begin(await queue.consume(handle, { concurrency: 1, workerClass: workerClassOf(device) }));
  };
  const register = () => registration.now();
  const ready = start({ register, probe: probeSelf, consume }, { service, stopping: stopping.signal, logger });
  ready.then(
    () => logger.info({ device, pid: process.pid }, 'the worker is ready'),
    (error: unknown) => stopping.signal.aborted || logger.error({ err: error }, 'the worker cannot start'),
  );

  return {
    id,
    get childPid() {
      return compute.pid;
    },
    get health(): WorkerHealth {
      const { trouble, atFault } = service;
      const working = intake.open ? 'in_service' : 'starting';
      return { id, state: trouble === null ? working : 'out_of_service', trouble, at_fault: atFault };
    },
    async close(graceSeconds) {
      stopping.abort();
      await ready.catch(() => undefined);
      await service.ended();
      const timer = setTimeout(() => shutdown.abort(), graceSeconds * 1000);
      await intake.close(async () => {
        await Promise.all(running);
        clearTimeout(timer);
        shutdown.abort();
      });
      await compute.stop();
      registration.stop();
      await database.workers.remove(id).catch((error: unknown) => logger.debug({ err: error }, 'could not sign off'));
      await scratch.remove();
      logger.info('the worker has stopped');
    },
  };
}

/**
 * Tells of the worker, tries it out, and lets tasks come. It holds none yet, so it may wait for as long as it takes.
 */
async function start(
  { register, probe, consume }: Record<'register' | 'probe' | 'consume', () => Promise<void>>,
  { service, stopping, logger }: { service: InService; stopping: AbortSignal; logger: Logger },
): Promise<void> {
  const patience: Backoff = {
    signal: stopping,
    limitMs: Infinity,
    retry: (error) => classOf(error) !== 'input',
    onFailure: (error, wait) => logger.warn({ err: error, wait_ms: wait }, 'cannot start yet'),
  };
  await untilItWorks(register, patience);
  try {
    await answerOrAbort(probe(), stopping);
  } catch (error) {
    stopping.throwIfAborted();
    await service.leave(asSparankError(error));
    await service.ended();
  }
  await untilItWorks(consume, patience);
}
