import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const KIB = 1024;

function status(pid: number, field: 'VmHWM' | 'VmRSS'): number {
  try {
    const line = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Number(line?.[1] ?? 0) * KIB;
  } catch {
    // Gone.
    return 0;
  }
}

/** Bytes that a process holds now; Linux only, 0 when it is gone. */
export const residentBytes = (pid: number): number => status(pid, 'VmRSS');

/** The most bytes that a process held since its start, or since its peak was reset. */
export const peakBytes = (pid: number): number => status(pid, 'VmHWM');

export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** The processes started by `parent` whose command line has `part`. */
export function childrenOf(parent: number, part: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const itsParent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
        return itsParent === parent && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(part);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/**
 * Watches named groups of processes and keeps the highest peak of any of them: a compute process resets its own peak
 * for every step, so that one look at the end would miss the earlier steps.
 */
export function watchPeaks<Name extends string>(
  groups: Record<Name, () => number[]>,
): { stop(): Record<Name, number> } {
  const names = Object.keys(groups) as Name[];
  const peaks = Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
  const look = () => {
    for (const name of names) peaks[name] = Math.max(peaks[name], ...groups[name]().map(peakBytes));
  };
  const timer = setInterval(look, 20);
  return {
    stop() {
      clearInterval(timer);
      look();
      return peaks;
    },
  };
}
