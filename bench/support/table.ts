import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';

type Cells = readonly (string | number)[];

/** A Markdown table. */
export function tableOf(head: Cells, rows: readonly Cells[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

export const printTable = (head: Cells, rows: readonly Cells[]): void => console.log(tableOf(head, rows));

/** The machine, and how busy it was at the start: numbers taken beside other work say so. */
export function printMachine(): void {
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  const load = (loadavg()[0] ?? NaN).toFixed(1);
  const machine = `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores, ${memory} GiB`;
  console.log(`${machine}; Node ${process.version}, ${process.platform} ${process.arch}; load ${load} at the start\n`);
}

/** Progress goes to standard error, so that standard output is the tables. */
export const note = (text: string): void => console.error(text);
