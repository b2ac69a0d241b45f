import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { solveLayer, type LayerProblem } from '../../src/compression/index.js';
import { seededRandom, normals } from '../../src/compression/linalg/random.js';
import { symmetricEigen } from '../../src/compression/linalg/eigen.js';
import { createEngine, matrix, type Engine } from '../../src/engines/index.js';
import { factoredResponse } from '../../src/compression/low-rank/factors.js';
import { sharingFits } from '../../src/compression/solver/lean-trials.js';
import { randomLayer } from './problems.js';
import type { Factors } from '../../src/models/index.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('onnxruntime', { threads: 1 });
});
afterAll(() => engine.dispose());

const OUTPUTS = 160;
const INPUTS = 64;
const RANK = 16;

type Features = (rows: number, random: () => number) => Float32Array;

/** As a rectifier leaves them: a few strong directions, many weak ones. */
function dense(mixing: Float32Array): Features {
  return (rows, random) => {
    const out = new Float32Array(rows * INPUTS);
    for (let r = 0; r < rows; r++) {
      const hidden = normals(INPUTS, random);
      for (let j = 0; j < INPUTS; j++) {
        let value = 0.3;
        for (let i = 0; i < INPUTS; i++) value += ((mixing[i * INPUTS + j] ?? 0) * (hidden[i] ?? 0)) / (1 + 0.1 * i);
        out[r * INPUTS + j] = Math.max(0, value);
      }
    }
    return out;
  };
}

/** Each sample is of one of many kinds, with features of its own: few samples have seen few of the kinds. */
const rare: Features = (rows, random) => {
  const out = new Float32Array(rows * INPUTS);
  for (let r = 0; r < rows; r++) {
    const kind = Math.floor(random() * INPUTS);
    const values = normals(3, random);
    for (const [i, v] of values.entries()) out[r * INPUTS + ((kind + 7 * i) % INPUTS)] = Math.max(0, 1 + 0.5 * v);
  }
  return out;
};

/** A classifier of more classes than samples. */
function classifier(samples: number, kind: 'dense' | 'rare') {
  const random = seededRandom(samples);
  const make = kind === 'rare' ? rare : dense(normals(INPUTS * INPUTS, random).map((v) => v / 4));
  const [left, right] = [normals(OUTPUTS * INPUTS, random), normals(INPUTS * INPUTS, random)];
  const weights = new Float32Array(OUTPUTS * INPUTS);
  // Weights with a spectrum that falls slowly, as those of trained classifiers.
  for (let i = 0; i < OUTPUTS; i++)
    for (let j = 0; j < INPUTS; j++)
      for (let k = 0; k < INPUTS; k++)
        weights[i * INPUTS + j] =
          (weights[i * INPUTS + j] ?? 0) +
          ((left[i * INPUTS + k] ?? 0) * (right[k * INPUTS + j] ?? 0)) / (INPUTS * Math.sqrt(1 + 0.2 * k));
  const bias = normals(OUTPUTS, random).map((v) => 0.1 * v);
  const problem: LayerProblem = {
    ...{ weights, bias, channels: INPUTS, taps: 1, activation: { kind: 'identity' } },
    inputs: make(samples, random),
  };
  return { problem, fresh: make(600, random) };
}

/** The best factors of the weights alone. */
function dataFree({ weights, bias }: LayerProblem): Factors {
  const gram = new Float64Array(INPUTS * INPUTS);
  for (let i = 0; i < OUTPUTS; i++)
    for (let a = 0; a < INPUTS; a++)
      for (let b = 0; b < INPUTS; b++)
        gram[a * INPUTS + b] =
          (gram[a * INPUTS + b] ?? 0) + (weights[i * INPUTS + a] ?? 0) * (weights[i * INPUTS + b] ?? 0);
  const { vectors } = symmetricEigen(gram, INPUTS);
  const q = Float32Array.from(vectors.subarray(0, RANK * INPUTS));
  const p = new Float32Array(OUTPUTS * RANK);
  for (let i = 0; i < OUTPUTS; i++)
    for (let k = 0; k < RANK; k++)
      for (let j = 0; j < INPUTS; j++)
        p[i * RANK + k] = (p[i * RANK + k] ?? 0) + (weights[i * INPUTS + j] ?? 0) * (q[k * INPUTS + j] ?? 0);
  return { lowRank: { shape: 'channel', rank: RANK, inner: 0, basis: null, q, p }, sparse: null, bias };
}

/** Share of answers kept, and squared error of the outputs over their energy. */
async function onFresh(problem: LayerProblem, fresh: Float32Array, factors: Factors) {
  const inputs = matrix(fresh.length / INPUTS, INPUTS, fresh);
  const truth = await engine.multiply(inputs, matrix(OUTPUTS, INPUTS, problem.weights), { transposeB: true });
  const got = await factoredResponse(engine, factors, inputs, problem);
  let [kept, squares, energy] = [0, 0, 0];
  for (let r = 0; r < inputs.rows; r++) {
    let [a, b] = [0, 0];
    const row = r * OUTPUTS;
    for (let i = 0; i < OUTPUTS; i++) {
      const wanted = (truth.data[row + i] ?? 0) + (problem.bias[i] ?? 0);
      truth.data[row + i] = wanted;
      const is = got.data[row + i] ?? 0;
      squares += (wanted - is) ** 2;
      energy += wanted ** 2;
      if (wanted > (truth.data[row + a] ?? 0)) a = i;
      if (is > (got.data[row + b] ?? 0)) b = i;
    }
    if (a === b) kept += 1;
  }
  return { kept: kept / inputs.rows, error: squares / energy };
}

const options = { reconstruction: 'after_activation', maxIterations: 10, seed: 1 } as const;
const size = { rank: RANK, groups: 0 };

describe('a fit on few samples for many outputs', () => {
  it.each([
    ['dense', 40],
    ['rare', 30],
    ['rare', 90],
  ] as const)(
    'is as good on fresh samples as factors of the weights alone: %s features, %i samples',
    async (kind, samples) => {
      const { problem, fresh } = classifier(samples, kind);
      const { factors } = await solveLayer(engine, problem, size, options);
      const fitted = await onFresh(problem, fresh, factors);
      const free = await onFresh(problem, fresh, dataFree(problem));
      const alone = await onFresh(
        problem,
        fresh,
        (await solveLayer(engine, problem, size, { ...options, lean: 0 })).factors,
      );
      expect(fitted.error).toBeLessThanOrEqual(1.02 * free.error);
      expect(fitted.error).toBeLessThanOrEqual(1.02 * alone.error);
      // Of 600 samples: one standard error and a half.
      expect(fitted.kept).toBeGreaterThanOrEqual(free.kept - 0.03);
    },
  );
});

describe('fits that share what no strength changes', () => {
  const problem = randomLayer({
    m: 24,
    channels: 16,
    taps: 9,
    samples: 300,
    seed: 4,
    activation: { kind: 'hard_swish' },
  });
  const metric = new Float32Array(24 * 24);
  for (let i = 0; i < 24; i++) metric[i * 24 + i] = 1 + i;

  it.each([
    ['channels beside a low rank', problem, { rank: 6, groups: 4 }],
    ['channels alone', problem, { rank: 0, groups: 7 }],
    [
      'in a metric, with a skip branch',
      { ...problem, metric, skip: normals(300 * 24, seededRandom(5)) },
      { rank: 5, groups: 0 },
    ],
    [
      'functionals that are chosen by the strength',
      { ...problem, lastAxes: 3 },
      { shape: 'spatial', rank: 5, inner: 8, groups: 0 },
    ],
    [
      'fewer samples than outputs',
      randomLayer({ m: 64, channels: 48, taps: 1, samples: 40, seed: 6 }),
      { rank: 8, groups: 0 },
    ],
  ] as const)('are those of each strength alone: %s', async (_, layer, wanted) => {
    const linear = { reconstruction: 'linear', maxIterations: 0, seed: 1 } as const;
    const fits = sharingFits(engine, wanted, linear)(layer);
    const inputs = matrix(
      layer.inputs.length / (layer.channels * layer.taps),
      layer.channels * layer.taps,
      layer.inputs,
    );
    const responses: Float32Array[] = [];
    for (const lean of [0, 0.1, 100]) {
      const shared = await factoredResponse(engine, await fits(lean), inputs, layer);
      const { factors } = await solveLayer(engine, layer, wanted, { ...linear, lean });
      const alone = await factoredResponse(engine, factors, inputs, layer);
      let [squares, energy] = [0, 0];
      for (const [i, value] of alone.data.entries()) {
        squares += (value - (shared.data[i] ?? NaN)) ** 2;
        energy += value ** 2;
      }
      expect(Math.sqrt(squares / energy), `strength ${lean}`).toBeLessThan(1e-3);
      responses.push(alone.data);
    }
    // The strengths differ.
    expect(responses[0]?.some((value, i) => Math.abs(value - (responses[2]?.[i] ?? NaN)) > 1e-3)).toBe(true);
  });
});
