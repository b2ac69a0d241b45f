import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';

/** Prints a Markdown table. */
export function printTable(head: string[], rows: (string | number)[][]): void {
  const line = (cells: (string | number)[]) => console.log(`| ${cells.join(' | ')} |`);
  line(head);
  line(head.map(() => '---'));
  for (const row of rows) line(row);
  console.log('');
}

/** The machine, and how busy it was at the start: numbers taken beside other work say so. */
export function printMachine(): void {
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  const load = (loadavg()[0] ?? NaN).toFixed(1);
  const machine = `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores, ${memory} GiB`;
  console.log(`${machine}; Node ${process.version}, ${process.platform} ${process.arch}; load ${load} at the start\n`);
}

/** Progress goes to standard error, so that standard output is the tables. */
export const note = (text: string): void => console.error(text);
