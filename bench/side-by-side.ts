/**
 * Sparank beside other ways of compressing: the same model, calibration, evaluation and parameter ratio, none with
 * fine-tuning, all files measured by one evaluator in one run. `npx tsx bench/side-by-side.ts [model] [options]`; see
 * --help.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { evaluateModels } from './support/evaluator.js';
import { addFiles, filesOf, type JobFiles } from './support/files.js';
import { PEERS } from './support/peers.js';
import { addPython, reasonOf, runPeer } from './support/python.js';
import { runJob } from './support/run-job.js';
import { note, printMachine, printTable } from './support/table.js';

const OURS: Record<string, { name: string; method: object }> = {
  'low-rank': { name: 'Sparank, low-rank only', method: { components: ['low_rank'] } },
  sparse: { name: 'Sparank, sparse only', method: { components: ['sparse'] } },
  both: { name: 'Sparank', method: {} },
};

interface Options {
  ratio: string[];
  methods: string[];
  threads: string;
  rounds: string;
  batchSizes: string;
  python: string;
}

const command = addPython(addFiles(new Command('bench/side-by-side.ts')))
  .option('--ratio <n...>', 'parameter ratios, one table for each', ['4'])
  .option('--methods <name...>', 'of the rows', [...Object.keys(PEERS), ...Object.keys(OURS)])
  .option('--threads <n>', '0: all cores', '0')
  .option('--rounds <n>', 'of the speed measurement; medians are printed', '50')
  .option('--batch-sizes <list>', 'of the speed measurement', '1,32')
  .parse();
const options = command.opts<Options>();
const files = filesOf(command);
const threads = Number(options.threads) || availableParallelism();
const batches = options.batchSizes.split(',').map(Number);

interface Candidate {
  name: string;
  path: string;
  seconds: number;
}

/** The compressed model, or in words why there is none. */
async function compress(method: string, ratio: number, files: JobFiles, folder: string): Promise<Candidate | string> {
  const begun = performance.now();
  const seconds = () => (performance.now() - begun) / 1000;
  const output = join(folder, `${method}-${String(ratio)}`);
  const ours = OURS[method];
  const name = ours?.name ?? PEERS[method as keyof typeof PEERS];
  try {
    if (ours !== undefined) {
      const spec = { target: { parameter_ratio: ratio }, method: ours.method };
      const outcome = await runJob({ files, spec, threads, output });
      // Its own evaluation is not part of compressing.
      return { name, path: join(output, 'model.onnx'), seconds: seconds() - outcome.seconds.evaluate };
    }
    const path = `${output}.onnx`;
    const args = [method, files.model, files.calibration, '--ratio', String(ratio), '--out', path];
    await runPeer(options.python, 'compress.py', args);
    return { name, path, seconds: seconds() };
  } catch (error) {
    return `${name}: none at ${String(ratio)}x (${reasonOf(error)})`;
  }
}

printMachine();
const folder = await mkdtemp(join(tmpdir(), 'sparank-bench-peers-'));
try {
  for (const ratio of options.ratio.map(Number)) {
    const candidates: Candidate[] = [{ name: 'the original', path: files.model, seconds: 0 }];
    const missing: string[] = [];
    for (const method of options.methods) {
      note(`${method}, ${String(ratio)}x`);
      const made = await compress(method, ratio, files, folder);
      if (typeof made === 'string') missing.push(made);
      else candidates.push(made);
    }
    note('measuring');
    const paths = candidates.map(({ path }) => path);
    const rounds = Number(options.rounds);
    const measured = await evaluateModels(paths, { evaluation: files.evaluation, threads, batches, rounds });
    const dense = measured[0];
    if (dense === undefined) throw new Error('the original was not measured');
    console.log(`${String(ratio)}x fewer parameters, without fine-tuning\n`);
    printTable(
      [
        'method',
        'parameters',
        'MACs',
        'accuracy %',
        'points',
        ...batches.map((batch) => `batch ${String(batch)} ms`),
        ...batches.map((batch) => `speed at batch ${String(batch)}`),
        'seconds to compress',
      ],
      measured.map((m, i) => [
        candidates[i]?.name ?? '',
        `${(dense.parameters / m.parameters).toFixed(2)}x`,
        `${(dense.macs / m.macs).toFixed(2)}x`,
        (100 * m.accuracy).toFixed(2),
        i === 0 ? '' : (100 * (m.accuracy - dense.accuracy)).toFixed(2),
        ...m.latency.map(({ ms }) => ms.toFixed(2)),
        ...m.latency.map(({ speedup }) => `${speedup.toFixed(2)}x`),
        i === 0 ? '' : (candidates[i]?.seconds ?? NaN).toFixed(0),
      ]),
    );
    for (const line of missing) console.log(`${line}\n`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
