/**
 * The product's solver against the same ADMM written plainly in PyTorch on the CPU: the same layers, samples, ranks and
 * iterations, in one run. `npx tsx bench/torch-admm.ts [model] [options]`; see --help.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { solveLayer } from '../src/compression/index.js';
import { writeNpz } from '../src/datasets/index.js';
import { createEngine } from '../src/engines/index.js';
import { addFiles, filesOf } from './support/files.js';
import { layerProblems, type NamedProblem } from './support/layer-problems.js';
import { median } from './support/numbers.js';
import { addPython, runPeer } from './support/python.js';
import { note, printMachine, printTable } from './support/table.js';

const STEP = 8;

const command = addPython(addFiles(new Command('bench/torch-admm.ts')))
  .option('--samples <n>', 'of every layer', '5000')
  .option('--iterations <n>', 'at most; PyTorch runs as many as the product did', '50')
  .option('--ratio <n>', 'parameters of a layer over those of its factors', '4')
  .option('--runs <n>', 'of both; medians are printed', '3')
  .option('--threads <n>', '0: all cores', '0')
  .parse();
const options = command.opts<
  Record<'samples' | 'iterations' | 'ratio' | 'runs' | 'threads', string> & { python: string }
>();
const threads = Number(options.threads) || availableParallelism();

/** The rank, a multiple of 8, whose factors are smaller by the ratio; 0 where that is too small to be of use. */
const rankOf = ({ m, d }: NamedProblem): number => Math.floor((m * d) / (m + d) / Number(options.ratio) / STEP) * STEP;

interface PeerResult {
  seconds: number;
  linear: number;
  error: number;
}

printMachine();
const known = ['relu', 'identity'];
const problems = (await layerProblems(filesOf(command), Number(options.samples), threads)).filter(
  (problem) => rankOf(problem) > 0 && known.includes(problem.problem.activation.kind),
);
const engine = await createEngine('onnxruntime', { threads });
const folder = await mkdtemp(join(tmpdir(), 'sparank-bench-admm-'));
const rows: (string | number)[][] = [];
const totals = { ours: 0, theirs: 0 };
try {
  for (const named of problems) {
    const { name, m, d, problem } = named;
    note(name);
    const rank = rankOf(named);
    const solve = () =>
      solveLayer(
        engine,
        problem,
        { rank, groups: 0 },
        {
          reconstruction: 'after_activation',
          maxIterations: Number(options.iterations),
          seed: 1,
          space: 'response',
        },
      );
    // The first one is warm-up.
    let { diagnostics } = await solve();
    const seconds: number[] = [];
    for (let run = 0; run < Number(options.runs); run++) {
      const begun = performance.now();
      ({ diagnostics } = await solve());
      seconds.push((performance.now() - begun) / 1000);
    }
    const ours = median(seconds);
    const path = join(folder, 'problem.npz');
    const samples = problem.inputs.length / d;
    await writeNpz(path, {
      weights: { dims: [m, d], data: problem.weights },
      bias: { dims: [m], data: problem.bias },
      inputs: { dims: [samples, d], data: problem.inputs },
      relu: { dims: [1], data: Int32Array.of(problem.activation.kind === 'relu' ? 1 : 0) },
    });
    const theirs = (await runPeer(options.python, 'torch_admm.py', [
      path,
      ...['--rank', String(rank), '--iterations', String(diagnostics.iterations)],
      ...['--runs', options.runs, '--threads', String(threads)],
    ])) as PeerResult;
    totals.ours += ours;
    totals.theirs += theirs.seconds;
    rows.push([
      `${String(m)} x ${String(d)}`,
      samples,
      rank,
      diagnostics.iterations,
      ours.toFixed(2),
      theirs.seconds.toFixed(2),
      `${(theirs.seconds / ours).toFixed(2)}x`,
      diagnostics.relativeErrorLinear.toFixed(4),
      diagnostics.relativeError.toFixed(4),
      theirs.error.toFixed(4),
    ]);
  }
} finally {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
}
const { ours, theirs } = totals;
rows.push(['all', '', '', '', ours.toFixed(2), theirs.toFixed(2), `${(theirs / ours).toFixed(2)}x`, '', '', '']);
printTable(
  [
    'layer',
    'samples',
    'rank',
    'iterations',
    'ours s',
    'PyTorch s',
    'PyTorch / ours',
    'linear fit',
    'our error',
    "PyTorch's error",
  ],
  rows,
);
