import { afterAll, beforeAll, expect, it } from 'vitest';
import { solveLayer } from '../../src/compression/index.js';
import { channelColumns } from '../../src/compression/linalg/columns.js';
import { channelsByImportance } from '../../src/compression/sparse/eliminate-channels.js';
import { createEngine, matrix, type Engine } from '../../src/engines/index.js';
import { randomLayer } from './problems.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('onnxruntime', { threads: 1 });
});
afterAll(() => engine.dispose());

const SHAPE = { m: 24, channels: 16, taps: 4, samples: 800, seed: 5 };
const order = (problem: ReturnType<typeof randomLayer>, m = SHAPE.m) =>
  channelsByImportance(engine, {
    inputs: matrix(problem.inputs.length / 64, 64, problem.inputs),
    weights: matrix(m, 64, problem.weights),
    taps: SHAPE.taps,
    metric: null,
  });

/** What the best weights of these channels leave of the response, by normal equations in double precision. */
function lossOf(problem: ReturnType<typeof randomLayer>, kept: readonly number[]): number {
  const rows = problem.inputs.length / 64;
  const all = matrix(rows, 64, problem.inputs);
  const columns = channelColumns(all, kept, SHAPE.taps);
  const n = columns.cols;
  const mean = (a: { rows: number; cols: number; data: Float32Array }) => {
    const means = new Float64Array(a.cols);
    a.data.forEach((value, i) => (means[i % a.cols] = (means[i % a.cols] ?? 0) + value / a.rows));
    return Float64Array.from(a.data, (value, i) => value - (means[i % a.cols] ?? 0));
  };
  const x = mean(columns);
  const full = mean(all);
  const y = new Float64Array(rows * SHAPE.m);
  for (let r = 0; r < rows; r++)
    for (let o = 0; o < SHAPE.m; o++)
      for (let j = 0; j < 64; j++)
        y[r * SHAPE.m + o] = (y[r * SHAPE.m + o] ?? 0) + (full[r * 64 + j] ?? 0) * (problem.weights[o * 64 + j] ?? 0);
  // Gaussian elimination of [XᵀX | Xᵀy], then the residual.
  const width = n + SHAPE.m;
  const a = new Float64Array(n * width);
  for (let r = 0; r < rows; r++)
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++)
        a[i * width + j] = (a[i * width + j] ?? 0) + (x[r * n + i] ?? 0) * (x[r * n + j] ?? 0);
      for (let o = 0; o < SHAPE.m; o++)
        a[i * width + n + o] = (a[i * width + n + o] ?? 0) + (x[r * n + i] ?? 0) * (y[r * SHAPE.m + o] ?? 0);
    }
  for (let i = 0; i < n; i++)
    for (let k = 0; k < n; k++) {
      if (k === i) continue;
      const factor = (a[k * width + i] ?? 0) / (a[i * width + i] ?? 1);
      for (let j = i; j < width; j++) a[k * width + j] = (a[k * width + j] ?? 0) - factor * (a[i * width + j] ?? 0);
    }
  let loss = 0;
  for (let r = 0; r < rows; r++)
    for (let o = 0; o < SHAPE.m; o++) {
      let rest = y[r * SHAPE.m + o] ?? 0;
      for (let i = 0; i < n; i++) rest -= ((x[r * n + i] ?? 0) * (a[i * width + n + o] ?? 0)) / (a[i * width + i] ?? 1);
      loss += rest ** 2;
    }
  return loss;
}

it('leaves out first the channel that the others make up for best', async () => {
  const problem = randomLayer(SHAPE);
  const importance = await order(problem);
  expect([...importance].sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, i) => i));
  const losses = Array.from({ length: 16 }, (_, channel) =>
    lossOf(
      problem,
      importance.filter((other) => other !== channel),
    ),
  );
  expect(losses[importance.at(-1) ?? -1]).toBeLessThan(1.02 * Math.min(...losses));
});

it('leaves out a channel that two others say everything of, and dead ones', async () => {
  const problem = randomLayer(SHAPE);
  for (let row = 0; row < 800; row++)
    for (let tap = 0; tap < 4; tap++) {
      const at = (channel: number) => row * 64 + channel * 4 + tap;
      problem.inputs[at(9)] = (problem.inputs[at(2)] ?? 0) - 2 * (problem.inputs[at(11)] ?? 0);
      problem.inputs[at(5)] = 0.25;
    }
  const importance = await order(problem);
  expect(importance.at(-1)).toBe(5);
  expect([2, 9, 11]).toContain(importance.at(-2));
});

it('chooses better channels than those with the largest weights, and about as good as any seen', async () => {
  const problem = randomLayer({ ...SHAPE, seed: 9 });
  const kept = (await order(problem)).slice(0, 8);
  const norms = Array.from({ length: 16 }, (_, channel) =>
    problem.weights.reduce((sum, value, i) => sum + (Math.floor((i % 64) / 4) === channel ? value ** 2 : 0), 0),
  );
  const heaviest = [...norms.keys()].sort((a, b) => (norms[b] ?? 0) - (norms[a] ?? 0)).slice(0, 8);
  const own = lossOf(problem, kept);
  expect(own).toBeLessThan(lossOf(problem, heaviest));
  // 60 random choices.
  let state = 7;
  const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  const others = Array.from({ length: 60 }, () => {
    const shuffled = Array.from({ length: 16 }, (_, i) => ({ i, at: random() })).sort((a, b) => a.at - b.at);
    return lossOf(
      problem,
      shuffled.slice(0, 8).map(({ i }) => i),
    );
  });
  expect(own).toBeLessThan(Math.min(...others));
});

it('is what a layer of some channels alone is made of', async () => {
  const problem = randomLayer(SHAPE);
  const kept = (await order(problem)).slice(0, 12).sort((a, b) => a - b);
  const { factors } = await solveLayer(
    engine,
    problem,
    { rank: 0, groups: 12 },
    { reconstruction: 'linear', maxIterations: 0, seed: 1 },
  );
  expect(factors.sparse?.kept).toEqual(kept);
});
