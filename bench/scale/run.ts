import { fork, type ChildProcess } from 'node:child_process';
import { openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { BenchPostgres } from '../load/postgres.js';
import { cpuSeconds } from '../support/process-time.js';
import type { PoolOrder } from './pool-process.js';
import { settle } from './seed.js';

const POLL_MS = 50;
/** Of the tasks that are to be measured: the first ones find cold caches and prepare their statements. */
const WARM_UP = 0.1;

export interface Run extends PoolOrder {
  /** Processes that the workers are divided over. */
  processes: number;
  tasks: number;
  environment: Record<string, string | undefined>;
  postgres: BenchPostgres;
  redisCpu: () => number;
  log: string;
  /** Flags of Node for the processes, as `--cpu-prof`. */
  flags: string[];
}

export interface Cost {
  tasks: number;
  perSecond: number;
  /** Processor milliseconds per task. */
  cpuMs: { relay: number; workers: number; postgres: number; redis: number };
}

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url));

async function answered(child: ChildProcess, word: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => reject(new Error('a process has ended; see the log')));
    child.on('message', (message) => message === word && resolve());
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise<void>((done) => child.once('close', () => done()));
  child.kill('SIGTERM');
  await ended;
}

/** Lets the pool work until so many tasks have succeeded, and says what each has cost. */
export async function run(options: Run): Promise<Cost> {
  const { postgres, processes, workers, layers, stepMs } = options;
  await settle(postgres.query);
  const start = (name: string): ChildProcess => {
    const log = openSync(options.log, 'a');
    return fork(script(name), {
      env: options.environment,
      stdio: ['ignore', 'ignore', log, 'ipc'],
      execArgv: [...process.execArgv, ...options.flags],
    });
  };
  const children: ChildProcess[] = [];
  try {
    const pools: ChildProcess[] = [];
    for (let i = 0; i < processes; i++) pools.push(start('pool-process.ts'));
    children.push(...pools);
    await Promise.all(pools.map((pool) => answered(pool, 'open')));
    const ready = pools.map((pool, i) => {
      const share = Math.floor(workers / processes) + (i < workers % processes ? 1 : 0);
      pool.send({ workers: share, layers, stepMs } satisfies PoolOrder);
      return answered(pool, 'ready');
    });
    await Promise.all(ready);
    const relay = start('relay-process.ts');
    children.push(relay);
    const succeeded = new Map<ChildProcess, number>();
    for (const pool of pools)
      pool.on('message', (message) => {
        if (typeof message === 'object' && 'succeeded' in message) succeeded.set(pool, Number(message.succeeded));
      });
    const done = () => [...succeeded.values()].reduce((sum, n) => sum + n, 0);
    const until = async (count: number) => {
      for (let last = 0, still = 0; ;) {
        const now = done();
        if (now >= count) return now;
        still = now === last ? still + 1 : 0;
        last = now;
        if (still * POLL_MS > 60_000) throw new Error(`no task has ended for a minute; see ${options.log}`);
        await sleep(POLL_MS);
      }
    };
    const cpu = () => ({
      relay: cpuSeconds(relay.pid ?? 0),
      workers: pools.reduce((sum, pool) => sum + cpuSeconds(pool.pid ?? 0), 0),
      postgres: postgres.cpuSeconds(),
      redis: options.redisCpu(),
    });
    const from = await until(Math.ceil(options.tasks * WARM_UP));
    const [used, begun] = [cpu(), performance.now()];
    const to = await until(options.tasks);
    const [after, seconds] = [cpu(), (performance.now() - begun) / 1000];
    const per = (name: keyof typeof used) => (1000 * (after[name] - used[name])) / (to - from);
    return {
      tasks: to - from,
      perSecond: (to - from) / seconds,
      cpuMs: { relay: per('relay'), workers: per('workers'), postgres: per('postgres'), redis: per('redis') },
    };
  } finally {
    await Promise.all(children.map(stop));
  }
}
