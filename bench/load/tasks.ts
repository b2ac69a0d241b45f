import { fork, type ChildProcess } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../../src/config/index.js';
import { openDatabase } from '../../src/database/index.js';
import type { Database } from '../../src/database/repositories.js';
import { createLogger } from '../../src/observability/logger.js';
import { postgresBackend } from '../../src/queue/postgres-backend.js';
import { redisBackend } from '../../src/queue/redis-backend.js';
import { TASK_KINDS } from '../../src/jobs/tasks.js';
import { createJob, stepResult } from '../../test/support/jobs.js';
import { startRedis } from '../siege/redis.js';
import { childrenOf } from '../support/process-memory.js';
import { cpuSeconds } from '../support/process-time.js';
import { note, printTable } from '../support/table.js';
import { type BareQueue, bareQueue } from './bare-queue.js';
import { fillQueue } from './fill.js';
import { type BenchPostgres, startPostgres } from './postgres.js';

const WORKER = fileURLToPath(new URL('./empty-worker.ts', import.meta.url));
const COMPUTE = 'empty-steps.mjs';
/** Jobs one after the other, each a chain of five tasks: nothing else waits, so the time is that of the way itself. */
const CHAINS = 40;
const CHAIN_LAYERS = 1;
/** Jobs at once, for the cost of a task when the worker is never idle. */
const BUSY_JOBS = 10;
const BUSY_LAYERS = 46;
const BARE_SINGLE = 200;
const BARE_MANY = 2_000;
const BACKENDS = ['Redis', 'PostgreSQL'] as const;

interface Waits {
  release_p50: number;
  claim_p50: number;
  p50: number;
  p99: number;
}

interface Busy {
  tasks: number;
  wallMs: number;
  cpuMs: { worker: number; compute: number; postgres: number; redis: number };
}

/**
 * What a task costs that does nothing, on its way through relay, queue, claim and completion, on both backends of the
 * queue.
 */
export async function tasks({ jobs }: { jobs: number }): Promise<void> {
  const ways: (string | number)[][] = [];
  const costs: (string | number)[][] = [];
  for (const backend of BACKENDS) {
    const stack = await openStack(backend);
    try {
      note(`${backend}: BullMQ alone`);
      const bare = await stack.bare();
      const [chains, busy] = await stack.worker(async (worker) => {
        note(`${backend}: ${CHAINS} jobs one after the other`);
        const first = await chainWaits(stack);
        note(`${backend}: ${BUSY_JOBS} jobs at once`);
        return [first, await busyCost(stack, worker)] as const;
      });
      note(`${backend}: ${jobs} more jobs in the queue`);
      const like = await createJob(stack.database, {
        labels: { results: stack.results(CHAIN_LAYERS) },
        priority: 'low',
      });
      await fillQueue(stack.postgres, like.id, jobs);
      const behind = await stack.worker((worker) => busyCost(stack, worker));
      ways.push(wayRow(backend, chains, bare));
      costs.push(bareRow(backend, bare), costRow(backend, 'empty queue', busy, bare));
      costs.push(costRow(backend, `${jobs.toLocaleString('en')} jobs queued`, behind, bare));
    } finally {
      await stack.close();
    }
  }
  printTable(
    [
      'queue on',
      'runnable to released, p50 ms',
      'released to claimed, p50 ms',
      'runnable to claimed, p50 ms',
      'p99 ms',
      'BullMQ alone, p50 ms',
      'p99 ms',
      'p50 / BullMQ alone',
    ],
    ways,
  );
  printTable(
    [
      'queue on',
      'empty tasks',
      'wall ms per task',
      'CPU of worker and relay, ms',
      'CPU of the compute process, ms',
      'CPU of PostgreSQL, ms',
      'CPU of Redis, ms',
      'wall / BullMQ alone',
    ],
    costs,
  );
}

interface Stack {
  postgres: BenchPostgres;
  database: Database;
  redisCpu(): number;
  /** The file with the results of the steps of a job with so many layers. */
  results(layers: number): string;
  bare(): Promise<BareQueue>;
  worker<T>(use: (worker: ChildProcess) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

async function openStack(backend: (typeof BACKENDS)[number]): Promise<Stack> {
  const postgres = await startPostgres();
  const directory = await mkdtemp(join(tmpdir(), 'sparank-load-'));
  const redis = backend === 'Redis' ? await startRedis(join(directory, 'redis')) : null;
  if (backend === 'Redis' && redis === null) throw new Error('redis-server is not on the PATH');
  const redisUrl = redis === null ? null : `redis://127.0.0.1:${redis.port}`;
  const environment = {
    PATH: process.env['PATH'],
    DATA_DIR: directory,
    DATABASE_URL: postgres.url,
    ENGINE: 'onnxruntime',
    THREADS: '1',
    MAX_QUEUED_JOBS: String(2 ** 31 - 1),
    ...(redisUrl === null ? {} : { REDIS_URL: redisUrl }),
  };
  const config = readConfig(environment);
  const logger = createLogger({ LOG_LEVEL: 'error' });
  const database = await openDatabase({ url: postgres.url, settings: config, logger });
  const results = (layers: number) => join(directory, `${layers}-layers.json`);
  for (const layers of [CHAIN_LAYERS, BUSY_LAYERS]) {
    const all = TASK_KINDS.map((kind) => [kind, stepResult({ kind, layer: 0 }, layers)]);
    await writeFile(results(layers), JSON.stringify(Object.fromEntries(all)));
  }
  return {
    postgres,
    database,
    results,
    redisCpu: () => (redis === null ? 0 : cpuSeconds(redis.pid)),
    async bare() {
      const bare = redisUrl === null ? postgresBackend(postgres.url) : redisBackend(redisUrl, logger);
      try {
        return await bareQueue(bare, BARE_SINGLE, BARE_MANY);
      } finally {
        await bare.close();
      }
    },
    async worker(use) {
      const log = openSync(join(directory, 'log'), 'a');
      const child = fork(WORKER, { env: environment, stdio: ['ignore', 'ignore', log, 'ipc'] });
      const ended = new Promise<void>((done) => child.once('close', () => done()));
      try {
        // The first job starts the compute process.
        await runJobs(database, 1, results(CHAIN_LAYERS));
        return await use(child);
      } catch (error) {
        console.error(readFileSync(join(directory, 'log'), 'utf8').slice(-4000));
        throw error;
      } finally {
        child.kill('SIGTERM');
        await ended;
      }
    },
    async close() {
      await database.close();
      await redis?.stop();
      await postgres.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Submits all of them, and waits for their ends. */
async function runJobs(database: Database, count: number, results: string): Promise<string[]> {
  const made = await Promise.all(Array.from({ length: count }, () => createJob(database, { labels: { results } })));
  for (const { id, teamId } of made) {
    for (;;) {
      const job = await database.jobs.get(teamId, id);
      if (job?.status === 'succeeded') break;
      if (job === null || job.status === 'failed' || job.status === 'canceled')
        throw new Error(`the job ${id} ended badly`);
      await sleep(20);
    }
  }
  return made.map(({ id }) => id);
}

async function chainWaits({ postgres, database, results }: Stack): Promise<Waits> {
  const ids: string[] = [];
  for (let i = 0; i < CHAINS; i++) ids.push(...(await runJobs(database, 1, results(CHAIN_LAYERS))));
  const [waits] = await postgres.query<Waits>(
    `select percentile_cont(0.5) within group (order by release) as release_p50, percentile_cont(0.5) within group (order by claim) as claim_p50,
       percentile_cont(0.5) within group (order by release + claim) as p50, percentile_cont(0.99) within group (order by release + claim) as p99
     from (select 1000 * extract(epoch from released_at - created_at)::float8 as release,
       1000 * extract(epoch from started_at - released_at)::float8 as claim from tasks where job_id = any($1)) as way`,
    [ids],
  );
  if (waits === undefined) throw new Error('no task ran');
  return waits;
}

async function busyCost({ postgres, database, results, redisCpu }: Stack, worker: ChildProcess): Promise<Busy> {
  const compute = childrenOf(worker.pid ?? 0, COMPUTE);
  const cpu = () => ({
    worker: cpuSeconds(worker.pid ?? 0),
    compute: compute.reduce((sum, pid) => sum + cpuSeconds(pid), 0),
    postgres: postgres.cpuSeconds(),
    redis: redisCpu(),
  });
  const [{ before } = { before: 0 }] = await done(postgres);
  const used = cpu();
  const begun = performance.now();
  await runJobs(database, BUSY_JOBS, results(BUSY_LAYERS));
  const wall = performance.now() - begun;
  const after = cpu();
  const [{ before: now } = { before: 0 }] = await done(postgres);
  const count = now - before;
  const per = (name: keyof typeof used) => (1000 * (after[name] - used[name])) / count;
  return {
    tasks: count,
    wallMs: wall / count,
    cpuMs: { worker: per('worker'), compute: per('compute'), postgres: per('postgres'), redis: per('redis') },
  };
}

const done = (postgres: BenchPostgres) =>
  postgres.query<{ before: number }>(`select count(*)::int as before from tasks where state = 'succeeded'`);

const wayRow = (backend: string, waits: Waits, bare: BareQueue) => [
  backend,
  waits.release_p50.toFixed(1),
  waits.claim_p50.toFixed(1),
  waits.p50.toFixed(1),
  waits.p99.toFixed(1),
  bare.p50Ms.toFixed(1),
  bare.p99Ms.toFixed(1),
  (waits.p50 / bare.p50Ms).toFixed(1),
];

const bareRow = (backend: string, bare: BareQueue) => [
  backend,
  'BullMQ alone',
  bare.wallMs.toFixed(2),
  bare.cpuMs.toFixed(2),
  '',
  '',
  '',
  '1.0',
];

const costRow = (backend: string, what: string, { wallMs, cpuMs, tasks: count }: Busy, bare: BareQueue) => [
  backend,
  `${count} tasks, ${what}`,
  wallMs.toFixed(1),
  cpuMs.worker.toFixed(1),
  cpuMs.compute.toFixed(1),
  cpuMs.postgres.toFixed(1),
  cpuMs.redis.toFixed(1),
  (wallMs / bare.wallMs).toFixed(1),
];
