import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KILL_POINTS } from '../../src/fault-injection/kill-point.js';
import { FAKETIME } from './clock.js';
import { DATA_FAULTS } from './data-faults.js';
import type { Deployment, Part } from './deployment.js';
import { OWN_FAULTS } from './own-faults.js';
import { computeProcesses } from './processes.js';

export interface Fault {
  name: string;
  /** How often it comes beside the others. */
  weight: number;
  /** Whether it was done: there may be nothing to kill. */
  run(deployment: Deployment, random: () => number): Promise<boolean>;
}

const one = <T>(items: T[], random: () => number): T | undefined => items[Math.floor(random() * items.length)];

const killPart = (kind: Part['kind']): Fault => ({
  name: `SIGKILL of ${kind === 'api' ? 'the API' : 'a worker'}`,
  weight: 3,
  run: async (deployment, random) => one(deployment.partsOf(kind), random)?.process.kill('SIGKILL') ?? false,
});

/** Between two tasks there is no compute process to kill. */
const NEXT_TASK_MS = 10_000;
const INTO_TASK_MS = 600;
const DOWN_MS = 400;
/** Longer than a lease and its check. */
const FROZEN_MS = 5000;
const FULL_MS = 1500;
const SHIFTED_MS = 1500;
const HOUR = 3600;

const redisFault = (name: string, keep: boolean): Fault => ({
  name,
  weight: 1,
  async run({ redis }) {
    if (redis === null) return false;
    await redis.kill();
    await sleep(DOWN_MS);
    await redis.start({ keep });
    return true;
  },
});

/** What can be done to the processes of the service alone. */
export const KILLS: Fault[] = [
  killPart('api'),
  killPart('worker'),
  {
    name: 'SIGKILL of a compute process',
    weight: 3,
    async run({ dataDir }, random) {
      for (const deadline = Date.now() + NEXT_TASK_MS; computeProcesses(dataDir).length === 0;) {
        if (Date.now() > deadline) return false;
        await sleep(20);
      }
      await sleep(random() * INTO_TASK_MS);
      const child = one(computeProcesses(dataDir), random);
      if (child === undefined) return false;
      try {
        return process.kill(child.pid, 'SIGKILL');
      } catch {
        return false;
      }
    },
  },
];

export const FAULTS: Fault[] = [
  ...KILLS,
  ...DATA_FAULTS,
  ...OWN_FAULTS,
  {
    name: 'SIGKILL of PostgreSQL',
    weight: 2,
    async run(deployment) {
      await deployment.killPostgres(DOWN_MS);
      return true;
    },
  },
  redisFault('SIGKILL of Redis, back with its data', true),
  redisFault('SIGKILL of Redis, back empty', false),
  {
    name: 'Redis flushed',
    weight: 1,
    async run({ redis }) {
      await redis?.flush();
      return redis !== null;
    },
  },
  {
    name: 'connections to PostgreSQL silenced',
    weight: 1,
    run: async ({ postgresProxy }) => postgresProxy.silence() > 0,
  },
  {
    name: 'connections to Redis silenced',
    weight: 1,
    run: async ({ redisProxy }) => (redisProxy?.silence() ?? 0) > 0,
  },
  {
    name: 'a worker frozen past its lease',
    weight: 1,
    async run(deployment, random) {
      const worker = one(deployment.partsOf('worker'), random)?.process;
      if (worker === undefined) return false;
      worker.kill('SIGSTOP');
      await sleep(FROZEN_MS);
      return worker.kill('SIGCONT');
    },
  },
  {
    name: 'the disk full',
    weight: 1,
    async run({ disk }) {
      if (!disk.canFill) return false;
      await disk.fill();
      await sleep(FULL_MS);
      await disk.clear();
      return true;
    },
  },
  {
    name: 'the clock an hour off, and back',
    weight: 1,
    async run(deployment, random) {
      if (FAKETIME === null) return false;
      const shift = random() < 0.5 ? -HOUR : HOUR;
      await writeFile(deployment.clockFile, `${shift > 0 ? '+' : ''}${String(shift)}\n`);
      await sleep(SHIFTED_MS);
      await writeFile(deployment.clockFile, '+0\n');
      return true;
    },
  },
  ...KILL_POINTS.map((point): Fault => ({
    name: `SIGKILL at ${point}`,
    weight: 0.5,
    async run({ killDir }) {
      await writeFile(join(killDir, point), '');
      return true;
    },
  })),
];

/** One of the faults, by their weights. */
export function drawFault(faults: readonly Fault[], random: () => number): Fault {
  let at = random() * faults.reduce((sum, { weight }) => sum + weight, 0);
  for (const fault of faults) {
    at -= fault.weight;
    if (at < 0) return fault;
  }
  throw new Error('the weights do not add up');
}
