/**
 * Time per layer of the solver on VGG-like shapes, and its products per second as a share of what the same engine
 * reaches on one large product. `npx tsx bench/solver.ts [threads]`; prints a Markdown table.
 */
import { layerStatistics, solveLayer } from '../src/compression/index.js';
import { createEngine, matrix, type Engine, type Operand, type Transpose } from '../src/engines/index.js';
import { normals, seededRandom } from '../src/compression/linalg/random.js';
import { median } from './support/numbers.js';
import { CONVOLUTIONS, problemOf } from './support/vgg-like.js';

const RUNS = 3;
const ITERATIONS = 30;
const SHAPES = [...CONVOLUTIONS, { m: 4096, channels: 25_088, taps: 1, samples: 2500, rank: 128 }];

/** Counts the multiply-adds of an engine's products and the time they take. */
function counted(engine: Engine): { engine: Engine; flops: number; seconds: number } {
  const count = { engine, flops: 0, seconds: 0 };
  const around = async <T>(flops: number, work: Promise<T>): Promise<T> => {
    const start = performance.now();
    const result = await work;
    count.flops += flops;
    count.seconds += (performance.now() - start) / 1e3;
    return result;
  };
  count.engine = {
    ...engine,
    multiply: (a: Operand, b: Operand, t: Transpose = {}) =>
      around(2 * a.rows * a.cols * (t.transposeB ? b.rows : b.cols), engine.multiply(a, b, t)),
    gram: (a) => around(2 * a.rows * a.cols * a.cols, engine.gram(a)),
  };
  return count;
}

async function peakGflops(engine: Engine): Promise<number> {
  const n = 2048;
  const a = matrix(n, n, normals(n * n, seededRandom(1)));
  const rates: number[] = [];
  for (let i = 0; i < 7; i++) {
    const start = performance.now();
    await engine.multiply(a, a);
    rates.push((2 * n ** 3) / (performance.now() - start) / 1e6);
  }
  return median(rates);
}

const engine = await createEngine('onnxruntime', { threads: Number(process.argv[2] ?? 0) });
console.log(`${engine.name}, ${engine.threads} threads, ${ITERATIONS} iterations, median of ${RUNS}\n`);
console.log(
  '| layer | samples | rank | statistics s | solve s | product GFLOP/s | peak GFLOP/s | share | error linear | error |',
);
console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |');
for (const shape of SHAPES) {
  const problem = problemOf(shape);
  const peak = await peakGflops(engine);
  let start = performance.now();
  await layerStatistics(engine, problem, { components: ['low_rank'], seed: 1 });
  const statistics = (performance.now() - start) / 1e3;
  const seconds: number[] = [];
  const rates: number[] = [];
  let error = NaN;
  let linear = NaN;
  for (let run = 0; run < RUNS; run++) {
    const count = counted(engine);
    start = performance.now();
    const { diagnostics } = await solveLayer(
      count.engine,
      problem,
      { rank: shape.rank, groups: 0 },
      { reconstruction: 'after_activation', maxIterations: ITERATIONS, seed: 1 },
    );
    seconds.push((performance.now() - start) / 1e3);
    rates.push(count.flops / count.seconds / 1e9);
    error = diagnostics.relativeError;
    linear = diagnostics.relativeErrorLinear;
  }
  const rate = median(rates);
  const cells = [
    `${shape.m} x ${shape.channels * shape.taps}`,
    shape.samples,
    shape.rank,
    statistics.toFixed(2),
    median(seconds).toFixed(2),
    rate.toFixed(0),
    peak.toFixed(0),
    `${((100 * rate) / peak).toFixed(0)} %`,
    linear.toFixed(4),
    error.toFixed(4),
  ];
  console.log(`| ${cells.join(' | ')} |`);
}
await engine.dispose();
