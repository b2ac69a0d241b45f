/**
 * The same job with one and with two worker processes: how much the layers gain from running in parallel.
 * `npx tsx bench/service.ts [model] [options]`; needs `npm run build`.
 */
import { Command } from 'commander';
import type { JobView } from '../src/api/jobs/schema.js';
import { addFiles, filesOf, readTarget, uploadAll } from './support/files.js';
import { callOnce } from './support/load.js';
import { median } from './support/numbers.js';
import { KEY, Service } from './support/service.js';
import { note, printMachine, printTable } from './support/table.js';

const SETUPS = [
  { name: '1 worker, 1 thread', workers: 1, threads: 1 },
  { name: '1 worker, 2 threads', workers: 1, threads: 2 },
  { name: '2 workers, 1 thread each', workers: 2, threads: 1 },
];

interface Event {
  type: string;
  created_at: string;
}

const command = addFiles(new Command('bench/service.ts'))
  .option('--target <name=value>', 'of the job', 'parameter_ratio=4')
  .option('--rounds <n>', 'of all setups, in turn; medians are printed', '3')
  .parse();
const { target, rounds } = command.opts<{ target: string; rounds: string }>();
const files = filesOf(command);
const spec = { target: readTarget(target) };

/** Wall seconds from the first layer's start to the end of the last, by the job's own events. */
async function layerSeconds(service: Service, id: string): Promise<number> {
  const headers = { authorization: `Bearer ${KEY}` };
  const { body } = await callOnce(service.url, { method: 'GET', path: `/jobs/${id}/events?limit=100`, headers });
  const page = JSON.parse(body) as { data: Event[]; has_more: boolean };
  if (page.has_more) throw new Error('the job has more events than this bench reads');
  const begins = page.data.find(({ type }) => type === 'layer.started');
  const ends = page.data.findLast(({ type }) => type === 'layer.finished');
  return (Date.parse(ends?.created_at ?? '') - Date.parse(begins?.created_at ?? '')) / 1000;
}

const wall = ({ started_at, finished_at }: JobView) =>
  (Date.parse(finished_at ?? '') - Date.parse(started_at ?? '')) / 1000;

printMachine();
const { service } = await Service.start();
try {
  const sources = await uploadAll(service.client, files);
  const taken = SETUPS.map(() => ({ layers: [] as number[], all: [] as number[] }));
  for (let round = 1; round <= Number(rounds); round++) {
    for (const [i, { name, workers, threads }] of SETUPS.entries()) {
      note(`round ${round} of ${rounds}: ${name}`);
      const parts = Array.from({ length: workers }, () => service.startWorker({ THREADS: String(threads) }));
      // Every worker has its files and a warm compute process afterwards.
      await service.run({ ...sources, ...spec });
      const job = await service.run({ ...sources, ...spec });
      taken[i]?.layers.push(await layerSeconds(service, job.id));
      taken[i]?.all.push(wall(job));
      for (const part of parts) await part.stop();
    }
  }
  const first = taken[0];
  printTable(
    ['workers', 'layers s', 'job s', 'layers: faster than the first row', 'job: faster than the first row'],
    SETUPS.map(({ name }, i) => {
      const { layers, all } = taken[i] ?? { layers: [], all: [] };
      const faster = (of: number[], than: number[] = []) =>
        median(of.map((s, round) => (than[round] ?? NaN) / s)).toFixed(2);
      return [
        name,
        median(layers).toFixed(1),
        median(all).toFixed(1),
        `${faster(layers, first?.layers)}x`,
        `${faster(all, first?.all)}x`,
      ];
    }),
  );
} finally {
  await service.close();
}
