/**
 * What an empty task costs the service, and whether that grows with the workers, the teams or the jobs in the tables:
 * `npx tsx bench/scale.ts`; needs a `redis-server` on the PATH or `--redis`. See --help.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { readConfig } from '../src/config/index.js';
import { openDatabase } from '../src/database/index.js';
import { createLogger } from '../src/observability/logger.js';
import { createJob } from '../test/support/jobs.js';
import { startPostgres } from './load/postgres.js';
import { poolCosts, type PoolCosts } from './scale/pool-costs.js';
import { run, type Cost } from './scale/run.js';
import { seed } from './scale/seed.js';
import { startRedis } from './siege/redis.js';
import { cpuSeconds } from './support/process-time.js';
import { note, printMachine, printTable } from './support/table.js';

/** Part of the jobs that wait. */
const QUEUED = 0.1;

const command = new Command('bench/scale.ts')
  .option('--sizes <jobs:workers:teams...>', 'one run each; tables only grow, so ascending', [
    '1000:10:10',
    '1000:1000:10',
    '1000:10:1000',
    '1000:1000:1000',
    '100000:1000:1000',
    '1000000:1000:1000',
    '1000000:10:1000',
  ])
  .option('--part <name...>', 'tasks, pools', ['tasks', 'pools'])
  .option('--tasks <n>', 'of a run', '12000')
  .option('--layers <n>', 'of a job, which has four tasks more', '8')
  .option('--processes <n>', 'that simulate the workers', '2')
  .option('--step-ms <n>', 'how long a task takes', '0')
  .option('--pools <jobs:workers:teams...>', 'what a pool costs beside its tasks: turns of the relay, signs of life', [
    '100000:1000:1000',
    '100000:10000:1000',
    '100000:10000:10000',
  ])
  .option('--statements', 'also what PostgreSQL spent its time on, of the last run')
  .option(
    '--data <folder>',
    'where PostgreSQL keeps its tables, for the next run too: filling them takes longer than a run',
  )
  .option('--cpu-prof <folder>', 'profiles of the relay and the workers')
  .parse();
const options = command.opts<
  { part: string[]; sizes: string[]; pools: string[]; statements?: true; data?: string; cpuProf?: string } & Record<
    'tasks' | 'layers' | 'processes' | 'stepMs',
    string
  >
>();
const layers = Number(options.layers);
const tasks = Number(options.tasks);

const flags = ['-c', 'max_connections=300', '-c', 'shared_buffers=512MB'];
if (options.statements === true)
  flags.push('-c', 'shared_preload_libraries=pg_stat_statements', '-c', 'pg_stat_statements.track=all');

interface Size {
  jobs: number;
  workers: number;
  teams: number;
}

function readSize(text: string): Size {
  const [jobs = NaN, workers = NaN, teams = NaN] = text.split(':').map(Number);
  if (![jobs, workers, teams].every((n) => Number.isInteger(n) && n > 0))
    throw new Error(`--sizes: ${text} is not jobs:workers:teams`);
  return { jobs, workers, teams };
}

const poolColumns = [
  'jobs',
  'workers',
  'teams',
  'turn: relay ms',
  'turn: PostgreSQL ms',
  'turn: wall ms',
  'heartbeat: own ms',
  'PostgreSQL ms',
  'sign of life: own ms',
  'PostgreSQL ms',
];
const columns = [
  'jobs',
  'workers',
  'teams',
  'tasks',
  'tasks/s',
  'relay ms',
  'workers ms',
  'PostgreSQL ms',
  'Redis ms',
  'all ms',
];
function row({ jobs, workers, teams }: Size, { tasks: count, perSecond, cpuMs }: Cost): (string | number)[] {
  const { relay, workers: pool, postgres, redis } = cpuMs;
  const ms = [relay, pool, postgres, redis, relay + pool + postgres + redis].map((one) => one.toFixed(2));
  const n = (value: number) => value.toLocaleString('en');
  return [n(jobs), n(workers), n(teams), n(count), perSecond.toFixed(0), ...ms];
}

function poolRow({ jobs, workers, teams }: Size, { turn, turnWallMs, beat, sign }: PoolCosts): (string | number)[] {
  const n = (value: number) => value.toLocaleString('en');
  const ms = [turn.own, turn.postgres, turnWallMs].map((one) => one.toFixed(1));
  return [
    n(jobs),
    n(workers),
    n(teams),
    ...ms,
    ...[beat.own, beat.postgres, sign.own, sign.postgres].map((one) => one.toFixed(2)),
  ];
}

printMachine();
const sizesOf = (part: string, given: string[]) => (options.part.includes(part) ? given.map(readSize) : []);
const sizes = sizesOf('tasks', options.sizes);
const pools = sizesOf('pools', options.pools);
const directory = await mkdtemp(join(tmpdir(), 'sparank-scale-'));
const log = join(directory, 'log');
await writeFile(log, '');
const postgres = await startPostgres(flags, options.data);
const redis = await startRedis(join(directory, 'redis'));
if (redis === null) throw new Error('redis-server is not on the PATH');
try {
  const environment = {
    PATH: process.env['PATH'],
    DATA_DIR: directory,
    DATABASE_URL: postgres.url,
    REDIS_URL: `redis://127.0.0.1:${String(redis.port)}`,
    MAX_QUEUED_JOBS: String(2 ** 31 - 1),
    LOG_LEVEL: 'warn',
    UV_THREADPOOL_SIZE: '32',
  };
  const database = await openDatabase({
    url: postgres.url,
    settings: readConfig(environment),
    logger: createLogger({ LOG_LEVEL: 'error' }),
  });
  const like = await createJob(database);
  if (options.statements === true) await postgres.query('create extension if not exists pg_stat_statements');
  const rows: (string | number)[][] = [];
  for (const size of sizes) {
    const queued = Math.ceil(Math.max(size.jobs * QUEUED, (1.5 * tasks) / (layers + 4), 2 * size.teams));
    await seed(postgres.query, like.id, { ...size, queued });
    await redis.flush();
    if (options.statements === true) await postgres.query('select pg_stat_statements_reset()');
    note(`${size.jobs} jobs, ${size.workers} workers, ${size.teams} teams`);
    const cost = await run({
      ...size,
      tasks,
      layers,
      stepMs: Number(options.stepMs),
      processes: Math.min(Number(options.processes), size.workers),
      environment,
      postgres,
      redisCpu: () => cpuSeconds(redis.pid),
      log,
      flags: options.cpuProf === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.cpuProf}`],
    });
    rows.push(row(size, cost));
    note(rows.at(-1)?.join(' | ') ?? '');
  }
  if (rows.length > 0) printTable(columns, rows);
  const costs: (string | number)[][] = [];
  for (const size of pools) {
    note(`a pool of ${size.workers} workers, ${size.teams} teams`);
    await seed(postgres.query, like.id, { ...size, queued: Math.max(size.jobs * QUEUED, 4 * size.workers) });
    costs.push(poolRow(size, await poolCosts(postgres, database, size.workers)));
    note(costs.at(-1)?.join(' | ') ?? '');
  }
  if (costs.length > 0) printTable(poolColumns, costs);
  await database.close();
  if (options.statements === true) {
    const top = await postgres.query<{ ms: number; calls: number; per: number; rows: number; text: string }>(
      `select total_exec_time + total_plan_time as ms, calls, rows, (total_exec_time + total_plan_time) / calls as per,
         left(regexp_replace(query, '\\s+', ' ', 'g'), 150) as text
       from pg_stat_statements order by 1 desc limit 40`,
    );
    printTable(
      ['ms', 'calls', 'ms a call', 'rows', 'statement'],
      top.map(({ ms, calls, per, rows: n, text }) => [
        ms.toFixed(0),
        calls,
        per.toFixed(3),
        n,
        text.replaceAll('|', '/'),
      ]),
    );
  }
} finally {
  await redis.stop();
  await postgres.close();
  await rm(directory, { recursive: true, force: true });
}
