/**
 * Times of blocks as a job measures them, for the test that the interval of a speedup covers: the original against
 * itself and against a compressed network, many jobs in a row, on a machine as busy as it is. `npx tsx
 * bench/latency-blocks.ts [model] [options]`; see --help.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { readConfig } from '../src/config/index.js';
import { openDataset } from '../src/datasets/index.js';
import { inputNames, loadModel, Runner } from '../src/models/index.js';
import { networkBlocks } from '../src/pipeline/latency/network-latency.js';
import { quantile } from '../src/pipeline/latency/latency.js';
import { stepLimits } from '../src/worker/limits.js';
import { addFiles, filesOf } from './support/files.js';
import { note } from './support/table.js';

const command = addFiles(new Command('bench/latency-blocks.ts'))
  .requiredOption('--compressed <model>', 'the compressed network')
  .requiredOption('--output <file.json>', 'for the medians of the blocks')
  .option('--jobs <n>', 'measurements, one after the other', '30')
  .option('--batch-sizes <list>', 'of the speed measurement', '1,32')
  .parse();
const options = command.opts<{ compressed: string; output: string; jobs: string; batchSizes: string }>();
const files = filesOf(command);
const limits = stepLimits(readConfig({}));
const directory = tmpdir();
const load = (path: string) => loadModel(path, { directory, limits });
const original = await load(files.model);
const data = await openDataset(files.evaluation, {
  directory,
  limits: { ...limits, maxSamples: 64_000 },
  inputs: inputNames(original),
});
const compressed = await load(options.compressed);
const batches = options.batchSizes.split(',').map(Number);
const digits = (ms: number) => Number(ms.toPrecision(4));

/** [pair][batch size][job][block]: [before, after] in milliseconds. */
const recorded = ['the original against itself', 'the original against a compressed network'].map((pair) => ({
  pair,
  batches: batches.map((batch) => ({ batch, jobs: [] as [number, number][][] })),
}));
const loads: number[] = [];
for (let job = 1; job <= Number(options.jobs); job++) {
  loads.push(loadavg()[0] ?? NaN);
  const blocks = await networkBlocks(original, [original, compressed], data, {
    batches,
    open: (model) => Runner.open(model, { threads: availableParallelism(), arena: true }),
    signal: new AbortController().signal,
    progress: () => undefined,
  });
  for (const [size, pairs] of blocks.entries())
    for (const [pair, timed] of pairs.entries())
      recorded[pair]?.batches[size]?.jobs.push(
        timed.map(({ before, after }) => [digits(quantile(before, 0.5)), digits(quantile(after, 0.5))]),
      );
  note(`job ${String(job)}, load ${String(loads.at(-1))}`);
  writeFileSync(join(options.output), JSON.stringify({ loads, recorded }));
}
await data.close();
