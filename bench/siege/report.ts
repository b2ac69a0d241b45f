import { printTable } from '../support/table.js';
import type { SiegeReport } from './siege.js';

const list = (map: Map<string, number>) => [...map].map(([name, n]) => `${String(n)} ${name}`).join(', ') || 'none';

export function printSiege(report: SiegeReport, seconds: number): void {
  const total = [...report.faults.values()].reduce((sum, n) => sum + n, 0);
  printTable(
    ['fault', 'times'],
    [...report.faults].sort(([a], [b]) => a.localeCompare(b)),
  );
  printTable(
    ['', ''],
    [
      ['faults', total],
      ['seconds', seconds.toFixed(0)],
      ['jobs accepted', report.accepted],
      ['jobs ended, each once', list(report.ended)],
      ['task attempts beyond the first', report.repeated],
      ['different models from equal jobs', report.models],
      ['processes started again', report.restarts],
      ['processes that ended by themselves', list(report.exits)],
      ['files of unfinished attempts, taken by the sweep', report.swept],
      ['files of canceled jobs, kept for a retry', report.canceled],
      ['partial files of killed processes, kept for a day', report.partial],
      ['scratch directories of killed processes, removed', report.stale],
      ['wrong', report.wrong.length],
    ],
  );
  for (const line of report.wrong.slice(0, 20)) console.log(`- ${line}`);
}
