import { join } from 'node:path';
import pino, { type Logger } from 'pino';
import { readConfig } from '../../src/config/index.js';
import type { Database, ReleasableTask } from '../../src/database/repositories.js';
import { TASK_KINDS } from '../../src/jobs/tasks.js';
import { createMetrics } from '../../src/observability/metrics.js';
import type { Storage } from '../../src/storage/storage.js';
import { ComputeProcess } from '../../src/worker/compute/compute-process.js';
import { FileCache } from '../../src/worker/task/file-cache.js';
import { stepLimits } from '../../src/worker/limits.js';
import type { TaskDeps } from '../../src/worker/task/task-deps.js';
import { runTask } from '../../src/worker/task/task-run.js';
import { createJob, stepResult } from '../support/jobs.js';
import { STEPS } from './request.js';

export const LAYERS = 1;

/** A job whose steps return well-formed results and write one small file each. */
export async function createWorkableJob(database: Database): Promise<string> {
  const results = Object.fromEntries(TASK_KINDS.map((kind) => [kind, stepResult({ kind, layer: 0 }, LAYERS)]));
  return (await createJob(database, { labels: { behave: 'given', results: JSON.stringify(results) } })).id;
}

export interface Rig {
  deps: TaskDeps;
  /** Lets the next task be released, and runs it to its end. */
  runNext(change?: Partial<TaskDeps>): Promise<ReleasableTask>;
  close(): Promise<void>;
}

/** What a worker runs its tasks with, without a queue: the caller says when. */
export function openRig(
  database: Database,
  storage: Storage,
  directory: string,
  logger: Logger = pino({ level: 'silent' }),
): Rig {
  const config = readConfig({ DATA_DIR: directory, LEASE_SECONDS: '1' });
  const compute = new ComputeProcess(STEPS);
  const deps: TaskDeps = {
    config,
    database,
    storage,
    cache: new FileCache(join(directory, 'cache'), storage, config.CACHE_BYTES),
    compute,
    filesNeeded: ({ finished }) => finished.flatMap(({ files }) => files),
    metrics: createMetrics(),
    engine: 'onnxruntime',
    limits: stepLimits(config),
    threads: 1,
    workerId: 'wrk_test',
    scratch: join(directory, 'scratch'),
    logger,
    service: { leave: () => Promise.resolve(), worked: () => undefined },
    shutdown: new AbortController().signal,
  };
  return {
    deps,
    async runNext(change = {}) {
      const [task] = (await database.pool.release()) ?? [];
      if (task === undefined) throw new Error('no task to release');
      await runTask({ ...deps, ...change }, task);
      return task;
    },
    close: () => compute.stop(),
  };
}
