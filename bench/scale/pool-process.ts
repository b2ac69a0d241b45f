/**
 * Many workers in one process. Each registers, has its own place at the queue, its own heartbeat and runs `runTask` of
 * the service; only the compute process and the storage are left out: a step ends at once, with a made-up result. The
 * parent says how many by a message.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { destination } from 'pino';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBackends } from '../../src/service/backends.js';
import { readConfig } from '../../src/config/index.js';
import { createLogger } from '../../src/observability/logger.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { FileCache } from '../../src/worker/task/file-cache.js';
import { stepLimits } from '../../src/worker/limits.js';
import { keepRegistered } from '../../src/worker/registration.js';
import type { TaskDeps } from '../../src/worker/task/task-deps.js';
import { runTask } from '../../src/worker/task/task-run.js';
import { stepResult } from '../../test/support/jobs.js';

export interface PoolOrder {
  workers: number;
  layers: number;
  /** How long a step takes. */
  stepMs: number;
}

const config = readConfig(process.env);
const logger = createLogger(config, {}, destination({ fd: 2, sync: true }));
const metrics = createMetrics();
const backends = await openBackends(config, logger, { quiet: true });
// The disk is left out too: hundreds of workers share that of one process here.
const memory = '/dev/shm';
const scratch = await mkdtemp(join(existsSync(memory) ? memory : tmpdir(), 'sparank-scale-'));
const storage = { ...backends.storage, deletePrefix: () => Promise.resolve(0) };
/** Of every worker its own, as each is a process. */
const shutdowns: AbortController[] = [];
const TELL_MS = 100;
let succeeded = 0;

async function start({ workers, layers, stepMs }: PoolOrder): Promise<void> {
  for (let i = 0; i < workers; i++) {
    const id = `wrk_scale_${String(process.pid)}_${String(i)}`;
    const shutdown = new AbortController();
    shutdowns.push(shutdown);
    const deps: TaskDeps = {
      config,
      database: backends.database,
      storage,
      cache: new FileCache(join(scratch, 'cache'), backends.storage, config.CACHE_BYTES),
      compute: {
        async run({ assignment }) {
          if (stepMs > 0) await sleep(stepMs);
          return { result: stepResult(assignment, layers), usage: { seconds: 0, peakRssBytes: 1 } };
        },
        stop: () => Promise.resolve(),
      },
      filesNeeded: () => [],
      metrics: {
        ...metrics,
        task(...end) {
          if (end[2] === 'succeeded') succeeded++;
          metrics.task(...end);
        },
      },
      engine: 'onnxruntime',
      limits: stepLimits(config),
      threads: 1,
      workerId: id,
      scratch,
      service: { leave: () => Promise.resolve(), worked: () => undefined },
      logger,
      shutdown: shutdown.signal,
    };
    const offer = { engine: 'onnxruntime', class: null, deviceMemoryBytes: 0 };
    await keepRegistered(backends.database, id, () => ({ ...offer, device: 'cpu', threads: 1, slots: 1 }), {
      logger,
      onState: async () => undefined,
    }).now();
    await backends.queue.consume((message) => runTask(deps, message), { concurrency: 1 });
  }
  process.send?.('ready');
  setInterval(() => process.send?.({ succeeded }), TELL_MS).unref();
}

process.on('message', (order: PoolOrder) => void start(order));
process.once('SIGTERM', () => {
  void (async () => {
    for (const shutdown of shutdowns) shutdown.abort();
    await rm(scratch, { recursive: true, force: true }).catch(() => undefined);
    process.exit();
  })();
});
process.send?.('open');
