/**
 * Jobs of ImageNet's size: AlexNet, VGG-16 and GoogLeNet as `bench/peers/decaying_models.py` writes them (no trained
 * weights). `npx tsx bench/imagenet.ts FOLDER [options]`; see --help.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { readTarget } from './support/files.js';
import type { JobOutcome } from './support/job-child.js';
import { mib } from './support/numbers.js';
import { runJob, totalSeconds } from './support/run-job.js';
import { note, printMachine, printTable } from './support/table.js';

const NAMES: Record<string, string> = { alexnet: 'AlexNet', vgg16: 'VGG-16', googlenet: 'GoogLeNet' };

const command = new Command('bench/imagenet.ts')
  .argument('<folder>', 'what decaying_models.py has written')
  .option('--models <name...>', 'of them', Object.keys(NAMES))
  .option('--target <name=value...>', 'one row for each', ['parameter_ratio=4'])
  .option('--threads <n>', '0: all cores', '0')
  .option('--samples <n>', 'samples of a layer; default: that of the service')
  .option('--batch-sizes <list>', 'of the speed measurement', '1,8')
  .parse();
const options = command.opts<{
  models: string[];
  target: string[];
  threads: string;
  samples?: string;
  batchSizes: string;
}>();
const folder = String(command.processedArgs[0]);
const batches = options.batchSizes.split(',').map(Number);
const file = (name: string): string => {
  const path = join(folder, name);
  if (!existsSync(path)) throw new Error(`${path} is missing: python bench/peers/decaying_models.py ${folder}`);
  return path;
};

printMachine();
const done: { name: string; target: string; outcome: JobOutcome }[] = [];
for (const model of options.models) {
  for (const target of options.target) {
    note(`${model}, ${target}`);
    const outcome = await runJob({
      files: {
        model: file(`${model}.onnx`),
        calibration: file('calibration.npz'),
        evaluation: file('evaluation.npz'),
      },
      spec: {
        target: readTarget(target),
        method: options.samples === undefined ? {} : { samples: Number(options.samples) },
        benchmark: { batch_sizes: batches },
      },
      threads: Number(options.threads),
    });
    note(`  ${totalSeconds(outcome).toFixed(0)} s, peak ${mib(outcome.peak)} MiB`);
    done.push({ name: NAMES[model] ?? model, target, outcome });
  }
}

printTable(
  ['network', 'target', 'inspect s', 'plan s', 'layers s', 'assemble s', 'evaluate s', 'total s', 'peak MiB'],
  done.map(({ name, target, outcome }) => [
    name,
    target,
    ...(['inspect', 'plan', 'layer', 'assemble', 'evaluate'] as const).map((k) => outcome.seconds[k].toFixed(0)),
    totalSeconds(outcome).toFixed(0),
    mib(outcome.peak),
  ]),
);
printTable(
  [
    'network',
    'target',
    'parameters before',
    'after',
    'parameters',
    'MACs',
    'bytes',
    ...batches.map((batch) => `speed at batch ${batch} (95 % interval)`),
    'relative error of the outputs',
    'same class',
  ],
  done.map(({ name, target, outcome: { metrics } }) => [
    name,
    target,
    ...[metrics.parameters.before, metrics.parameters.after].map((count) => `${(count / 1e6).toFixed(1)} M`),
    ...[metrics.parameters, metrics.macs, metrics.bytes].map(({ ratio }) => `${ratio.toFixed(2)}x`),
    ...batches.map((batch) => {
      const { speedup, speedup_ci95: ci = [] } = metrics.latency.find((l) => l.batch === batch) ?? {};
      return `${(speedup ?? NaN).toFixed(2)}x (${ci.map((x) => x.toFixed(2)).join(' to ')})`;
    }),
    metrics.fidelity.relative_error.toFixed(3),
    `${(100 * (metrics.fidelity.top1_agreement ?? NaN)).toFixed(1)} %`,
  ]),
);
