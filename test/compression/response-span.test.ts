import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { layerStatistics, responseSpan, solveLayer, type LayerProblem } from '../../src/compression/index.js';
import { centered, columnMeans } from '../../src/compression/linalg/columns.js';
import { spectrum } from '../../src/compression/regression/held-out.js';
import { symmetricEigen } from '../../src/compression/linalg/eigen.js';
import { normals, seededRandom } from '../../src/compression/linalg/random.js';
import { orthonormal, rankStep } from '../../src/compression/regression/rank-step.js';
import { responseMetric } from '../../src/compression/regression/response-metric.js';
import { createEngine, matrix, type Engine, type Matrix } from '../../src/engines/index.js';
import { randomLayer } from './problems.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('onnxruntime', { threads: 1 });
});
afterAll(() => engine.dispose());

const M = 300;
const D = 24;
const SAMPLES = 700;
const wide: LayerProblem = randomLayer({
  m: M,
  channels: D,
  taps: 1,
  samples: SAMPLES,
  seed: 7,
  activation: { kind: 'identity' },
});

async function response(): Promise<Matrix> {
  const inputs = matrix(SAMPLES, D, wide.inputs);
  const all = await engine.multiply(inputs, matrix(M, D, wide.weights), { transposeB: true });
  return centered(all, columnMeans(all));
}

/** Eigenvalues of aᵀ a, in double precision. */
function squaredSingularValues(a: Matrix): Float64Array {
  const gram = new Float64Array(a.cols * a.cols);
  for (let r = 0; r < a.rows; r++) {
    for (let i = 0; i < a.cols; i++) {
      const x = a.data[r * a.cols + i] ?? NaN;
      for (let j = 0; j < a.cols; j++)
        gram[i * a.cols + j] = (gram[i * a.cols + j] ?? NaN) + x * (a.data[r * a.cols + j] ?? NaN);
    }
  }
  return symmetricEigen(gram, a.cols).values;
}

const sum = (values: ArrayLike<number>): number => Array.from(values).reduce((total, x) => total + x, 0);

/** || a - a v vᵀ ||² for orthonormal rows or columns of v. */
async function outside(a: Matrix, v: Matrix, transpose: boolean): Promise<number> {
  const scores = await engine.multiply(a, v, { transposeB: transpose });
  const back = await engine.multiply(scores, v, { transposeB: !transpose });
  return sum(a.data.map((x, i) => (x - (back.data[i] ?? NaN)) ** 2));
}

describe('a layer of many more outputs than inputs', () => {
  it('has a span of as many directions as inputs, which all its responses lie in', async () => {
    const span = await responseSpan(engine, matrix(M, D, wide.weights));
    if (span === null) throw new Error('no span');
    expect([span.rows, span.cols]).toEqual([M, D]);
    const own = await response();
    expect(await outside(own, span, false)).toBeLessThan(1e-9 * sum(own.data.map((x) => x * x)));
  });

  it.each([D, 9])('has the eigenvalues of the whole response, of %i directions', async (limit) => {
    const own = await response();
    const span = await responseSpan(engine, matrix(M, D, wide.weights));
    const { values, directions } = await spectrum(engine, own, { limit, random: seededRandom(1), metric: null, span });
    expect(values.length).toBe(limit);
    const reference = squaredSingularValues(own);
    values.forEach((value, i) => expect(value / ((reference[i] ?? NaN) / SAMPLES)).toBeCloseTo(1, 3));
    const tail = sum(reference.subarray(limit, D));
    const left = await outside(own, directions, true);
    expect(left).toBeGreaterThan(0.999 * tail - 1e-6);
    expect(left).toBeLessThan(1.001 * tail + 1e-6 * sum(reference));
  });

  it('has those of the turned response in a metric', async () => {
    const root = normals(M * M, seededRandom(3));
    const moments = await engine.multiply(matrix(M, M, root), matrix(M, M, root), { transposeB: true });
    const metric = responseMetric(moments.data);
    if (metric === null) throw new Error('no metric');
    const own = await response();
    const span = await responseSpan(engine, matrix(M, D, wide.weights));
    const found = await spectrum(engine, own, { limit: 64, random: seededRandom(1), metric, span });
    const reference = squaredSingularValues(await engine.multiply(own, metric.turn));
    expect(found.values.length).toBe(D);
    found.values.forEach((value, i) => expect(value / ((reference[i] ?? NaN) / SAMPLES)).toBeCloseTo(1, 3));
  });

  it('is fitted as well as its rank allows', async () => {
    const own = await response();
    const reference = squaredSingularValues(own);
    const energy = await outsideMean();
    for (const rank of [4, 12]) {
      const size = { rank, groups: 0 };
      const options = { reconstruction: 'linear', maxIterations: 0, seed: 1, ridge: 1e-6 } as const;
      const { diagnostics, factors } = await solveLayer(engine, wide, size, options);
      const best = sum(reference.subarray(rank, D)) / energy;
      expect(diagnostics.relativeError / best).toBeCloseTo(1, 3);
      expect(factors.lowRank?.q.length).toBe(rank * D);
      expect(factors.lowRank?.p.length).toBe(M * rank);
    }
  });

  it('costs less than a fit in all of its outputs', async () => {
    const counted = { multiplications: 0 };
    const counting: Engine = {
      ...engine,
      multiply: (a, b, transpose = {}) => {
        const [rows, inner] = transpose.transposeA === true ? [a.cols, a.rows] : [a.rows, a.cols];
        counted.multiplications += rows * inner * (transpose.transposeB === true ? b.rows : b.cols);
        return engine.multiply(a, b, transpose);
      },
    };
    await solveLayer(counting, wide, { rank: 8, groups: 0 }, { reconstruction: 'linear', maxIterations: 0, seed: 1 });
    await layerStatistics(counting, wide, { components: ['low_rank', 'sparse'], seed: 1 });
    // 14 of them; 213 where the responses are taken as they are.
    expect(counted.multiplications / (SAMPLES * M * D)).toBeLessThan(20);
  });
});

/** Energy of the response with its bias: what errors are relative to. */
async function outsideMean(): Promise<number> {
  const inputs = matrix(SAMPLES, D, wide.inputs);
  const all = await engine.multiply(inputs, matrix(M, D, wide.weights), { transposeB: true });
  return sum(all.data.map((x, i) => (x + (wide.bias[i % M] ?? NaN)) ** 2));
}

it('is looked at in its outputs when these are few, or no more than its inputs', async () => {
  expect(await responseSpan(engine, matrix(64, 16))).toBeNull();
  expect(await responseSpan(engine, matrix(512, 400))).toBeNull();
});

it('finds the leading directions of a matrix of few columns as of its transpose', async () => {
  const [rows, cols, rank] = [400, 30, 5];
  const random = seededRandom(5);
  const scales = normals(cols, random).map((x, i) => x * 0.8 ** i);
  const mix = await orthonormal(engine, matrix(rows, cols, normals(rows * cols, random)));
  const k = matrix(
    rows,
    cols,
    mix.data.map((x, i) => x * (scales[i % cols] ?? NaN)),
  );
  const { left, right } = await rankStep(engine, k, { rank, warm: null, random });
  expect([left.cols, right.rows]).toEqual([rank, rank]);
  const gram = await engine.gram(left);
  gram.forEach((x, i) => expect(x).toBeCloseTo(i % (rank + 1) === 0 ? 1 : 0, 5));
  const squares = Array.from(scales, (x) => x * x).sort((a, b) => b - a);
  const back = await engine.multiply(left, right);
  const error = sum(k.data.map((x, i) => (x - (back.data[i] ?? NaN)) ** 2));
  expect(error / sum(squares.slice(rank))).toBeCloseTo(1, 4);
});
