import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts in hundredths of a second for programs. */
const TICKS_PER_SECOND = 100;

interface Times {
  parent: number;
  own: number;
  /** Of children that have ended. */
  ended: number;
}

function times(pid: number): Times {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [parent = 0, user = 0, system = 0, endedUser = 0, endedSystem = 0] = [1, 11, 12, 13, 14].map((i) => fields[i]);
  return { parent, own: (user + system) / TICKS_PER_SECOND, ended: (endedUser + endedSystem) / TICKS_PER_SECOND };
}

/** Processor seconds that a process has used, in its own code and in the kernel; Linux only. */
export const cpuSeconds = (pid: number): number => times(pid).own;

/**
 * The same with all its children, those that have ended included: a PostgreSQL server, or a worker with its compute
 * process.
 */
export function treeCpuSeconds(pid: number): number {
  const all = new Map<number, Times>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      all.set(Number(name), times(Number(name)));
    } catch {
      // It has ended meanwhile.
    }
  }
  const sum = (id: number): number => {
    const { own = 0, ended = 0 } = all.get(id) ?? {};
    const children = [...all].flatMap(([child, { parent }]) => (parent === id ? [child] : []));
    return children.reduce((total, child) => total + sum(child), own + ended);
  };
  return sum(pid);
}
