import { readFileSync } from 'node:fs';

/** Linux counts in hundredths of a second for programs. */
const TICKS_PER_SECOND = 100;

/** Processor seconds that a process has used, in its own code and in the kernel; Linux only. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
