/**
 * A whole job in one process: seconds by phase, peak memory, result. `npx tsx bench/job.ts [model] [options]`; see
 * --help.
 */
import { Command } from 'commander';
import { addFiles, filesOf, readTarget } from './support/files.js';
import type { JobOutcome } from './support/job-child.js';
import { median, mib } from './support/numbers.js';
import { runJob, totalSeconds } from './support/run-job.js';
import { note, printMachine, printTable } from './support/table.js';

interface Options {
  target: string[];
  runs: string;
  threads: string;
  samples?: string;
  batchSizes: string;
}

const command = addFiles(new Command('bench/job.ts'))
  .option('--target <name=value...>', 'one row for each', [
    'parameter_ratio=2',
    'parameter_ratio=4',
    'parameter_ratio=8',
  ])
  .option('--runs <n>', 'runs of each target, in turn; medians are printed', '3')
  .option('--threads <n>', '0: all cores', '0')
  .option('--samples <n>', 'samples of a layer')
  .option('--batch-sizes <list>', 'of the speed measurement', '1,32')
  .parse();
const options = command.opts<Options>();
const files = filesOf(command);
const batches = options.batchSizes.split(',').map(Number);
const outcomes = new Map<string, JobOutcome[]>(options.target.map((target) => [target, []]));

printMachine();
for (let run = 1; run <= Number(options.runs); run++) {
  for (const [target, done] of outcomes) {
    note(`${target}, run ${run} of ${options.runs}`);
    const spec = {
      target: readTarget(target),
      method: options.samples === undefined ? {} : { samples: Number(options.samples) },
      benchmark: { batch_sizes: batches },
    };
    done.push(await runJob({ files, spec, threads: Number(options.threads) }));
  }
}

const each = <T>(row: (target: string, of: (value: (outcome: JobOutcome) => number) => number) => T): T[] =>
  [...outcomes].map(([target, done]) => row(target, (value) => median(done.map(value))));

printTable(
  [
    'target',
    'inspect s',
    'plan s',
    'layers s',
    'assemble s',
    'evaluate s',
    'total s',
    'peak MiB',
    'of it before the job MiB',
  ],
  each((target, of) => [
    target,
    ...(['inspect', 'plan', 'layer', 'assemble', 'evaluate'] as const).map((k) => of((o) => o.seconds[k]).toFixed(1)),
    of(totalSeconds).toFixed(1),
    mib(of((o) => o.peak)),
    mib(of((o) => o.peakBefore)),
  ]),
);
printTable(
  [
    'target',
    'parameters',
    'MACs',
    'bytes',
    ...batches.map((batch) => `speedup at batch ${batch}`),
    'accuracy before',
    'after',
    'points lost',
  ],
  each((target, of) => {
    const percent = (value: (outcome: JobOutcome) => number) => (100 * of(value)).toFixed(2);
    return [
      target,
      `${of((o) => o.metrics.parameters.ratio).toFixed(2)}x`,
      `${of((o) => o.metrics.macs.ratio).toFixed(2)}x`,
      `${of((o) => o.metrics.bytes.ratio).toFixed(2)}x`,
      ...batches.map((b) => `${of((o) => o.metrics.latency.find((l) => l.batch === b)?.speedup ?? NaN).toFixed(2)}x`),
      percent((o) => o.metrics.accuracy?.before ?? NaN),
      percent((o) => o.metrics.accuracy?.after ?? NaN),
      percent((o) => o.metrics.accuracy?.drop ?? NaN),
    ];
  }),
);
