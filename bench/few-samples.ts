/**
 * How much does a job lose that has few calibration samples, and what does changing all layers together bring then? The first samples of the
 * calibration data, with and without distillation, measured on the evaluation data.
 * `npx tsx bench/few-samples.ts [model] [options]`; see --help.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { readConfig } from '../src/config/index.js';
import { openDataset, writeNpz, type Tensor } from '../src/datasets/index.js';
import { inputNames, loadModel } from '../src/models/index.js';
import { stepLimits } from '../src/worker/limits.js';
import { addFiles, filesOf, readEffort, readTarget } from './support/files.js';
import type { JobOutcome } from './support/job-child.js';
import { runJob, totalSeconds } from './support/run-job.js';
import { note, printMachine, printTable } from './support/table.js';

const command = addFiles(new Command('bench/few-samples.ts'))
  .option('--samples <n...>', 'of the calibration data, from its beginning', ['64', '256', '1024'])
  .option('--target <name=value>', 'of every job', 'parameter_ratio=2')
  .option('--effort <how>', 'of the jobs with distillation: quick, standard, thorough or seconds', 'standard')
  .option('--threads <n>', '0: all cores', '0')
  .parse();
const options = command.opts<{ samples: string[]; target: string; effort: string; threads: string }>();
const files = filesOf(command);
const threads = Number(options.threads) || availableParallelism();
const effort = readEffort(options.effort);
const directory = mkdtempSync(join(tmpdir(), 'sparank-few-samples-'));

/** The first samples, in a file of their own. */
async function firstOf(count: number): Promise<string> {
  const limits = stepLimits(readConfig({}));
  const signal = new AbortController().signal;
  const model = await loadModel(files.model, { directory, limits, signal });
  const data = await openDataset(files.calibration, {
    directory,
    limits: { ...limits, maxSamples: limits.maxCalibrationSamples },
    inputs: inputNames(model),
    signal,
  });
  try {
    if (count > data.count) throw new Error(`--samples ${count}: there are ${data.count}`);
    const arrays: Record<string, Tensor> = Object.fromEntries(await data.batch(0, count));
    const path = join(directory, `${count}.npz`);
    await writeNpz(path, arrays);
    return path;
  } finally {
    await data.close();
  }
}

const percent = (value: number | null | undefined) => (value == null ? '' : (100 * value).toFixed(2));

function rowOf(count: number, outcome: JobOutcome): string[] {
  const { metrics } = outcome;
  const { distillation, fidelity, accuracy } = metrics;
  const lost = accuracy == null ? '' : percent(accuracy.before - accuracy.after);
  return [
    String(count),
    `${metrics.parameters.ratio.toFixed(2)}x`,
    distillation === undefined ? '0' : `${distillation.passes}${distillation.kept ? '' : ' (not kept)'}`,
    fidelity.relative_error.toFixed(3),
    percent(fidelity.top1_agreement),
    lost,
    totalSeconds(outcome).toFixed(0),
  ];
}

printMachine();
try {
  const rows: string[][] = [];
  for (const count of options.samples.map(Number)) {
    const calibration = await firstOf(count);
    for (const method of [{ distillation_passes: 0 }, {}]) {
      note(`${count} samples ${'distillation_passes' in method ? 'without' : 'with'} distillation`);
      const target = readTarget(options.target);
      const spec = { target, effort, method, benchmark: { batch_sizes: [1] } };
      rows.push(rowOf(count, await runJob({ files: { ...files, calibration }, spec, threads })));
    }
  }
  printTable(['samples', 'parameters', 'passes', 'error', 'agreement %', 'points lost', 's'], rows);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
