/**
 * One job with several targets against a job for each of them, in turn: seconds, and whether the results are the same.
 * `npx tsx bench/curve.ts [model] [options]`; see --help.
 */
import { Command } from 'commander';
import { addFiles, filesOf, readTarget } from './support/files.js';
import type { JobOutcome } from './support/job-child.js';
import { median, mib } from './support/numbers.js';
import { runJob, totalSeconds } from './support/run-job.js';
import { note, printMachine, printTable } from './support/table.js';

const KINDS = ['inspect', 'plan', 'layer', 'assemble', 'evaluate'] as const;

const command = addFiles(new Command('bench/curve.ts'))
  .option(
    '--target <name=value...>',
    'the points',
    [2, 4, 8, 16].map((ratio) => `parameter_ratio=${ratio}`),
  )
  .option('--runs <n>', 'runs of both ways, in turn; medians are printed', '3')
  .option('--threads <n>', '0: all cores', '0')
  .option('--samples <n>', 'samples of a layer')
  .option('--batch-sizes <list>', 'of the speed measurement', '1,32')
  .parse();
const options = command.opts<{
  target: string[];
  runs: string;
  threads: string;
  samples?: string;
  batchSizes: string;
}>();
const files = filesOf(command);
const batches = options.batchSizes.split(',').map(Number);
const targets = options.target.map(readTarget);
const job = (wish: Record<string, unknown>) =>
  runJob({
    files,
    spec: {
      ...wish,
      method: options.samples === undefined ? {} : { samples: Number(options.samples) },
      benchmark: { batch_sizes: batches },
    },
    threads: Number(options.threads),
  });

printMachine();
const single: JobOutcome[][] = [];
const shared: JobOutcome[] = [];
for (let run = 1; run <= Number(options.runs); run++) {
  note(`one job, run ${run} of ${options.runs}`);
  shared.push(await job({ targets }));
  const jobs: JobOutcome[] = [];
  for (const target of targets) {
    note(`${JSON.stringify(target)} alone, run ${run} of ${options.runs}`);
    jobs.push(await job({ target }));
  }
  single.push(jobs);
}

const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
const rows: [string, (outcome: JobOutcome) => number][] = [
  ...KINDS.map((kind): [string, (o: JobOutcome) => number] => [`${kind}, wall s`, (o) => o.seconds[kind]]),
  ['total, wall s', totalSeconds],
  ...KINDS.map((kind): [string, (o: JobOutcome) => number] => [`${kind}, processor s`, (o) => o.processor[kind]]),
  ['total, processor s', (o) => sum(Object.values(o.processor))],
];
printTable(
  ['', `${targets.length} jobs`, 'one job', 'jobs / one job'],
  rows.map(([name, of]) => {
    const apart = median(single.map((jobs) => sum(jobs.map(of))));
    const together = median(shared.map(of));
    return [name, apart.toFixed(1), together.toFixed(1), `${(apart / together).toFixed(2)}x`];
  }),
);
const peak = (outcomes: JobOutcome[]) => mib(Math.max(...outcomes.map((o) => o.peak)));
note(`peak memory: ${peak(single.flat())} MiB alone, ${peak(shared)} MiB together`);

const percent = (value: number | undefined) => (value === undefined ? '-' : (100 * value).toFixed(2));
const speedups = (outcomes: (JobOutcome['points'][number] | undefined)[], batch: number) =>
  `${median(outcomes.map((p) => p?.metrics?.latency.find((l) => l.batch === batch)?.speedup ?? NaN)).toFixed(2)}x`;
printTable(
  [
    'target',
    'parameters',
    'MACs',
    'accuracy before',
    'after, alone',
    'after, together',
    ...batches.flatMap((batch) => [`speedup at batch ${batch}, alone`, 'together']),
  ],
  targets.map((target, i) => {
    const together = shared.map((o) => o.points[i]);
    const alone = single.map((jobs) => jobs[i]?.points[0]);
    const [point] = together;
    return [
      JSON.stringify(target),
      `${point?.metrics?.parameters.ratio.toFixed(2) ?? '-'}x`,
      `${point?.metrics?.macs.ratio.toFixed(2) ?? '-'}x`,
      percent(point?.metrics?.accuracy?.before),
      percent(alone[0]?.metrics?.accuracy?.after),
      percent(point?.metrics?.accuracy?.after),
      ...batches.flatMap((batch) => [speedups(alone, batch), speedups(together, batch)]),
    ];
  }),
);
