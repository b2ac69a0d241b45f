import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { admm } from '../../src/compression/solver/admm.js';
import { applyActivation } from '../../src/compression/prox/activation-function.js';
import { whitenedFeatures } from '../../src/compression/regression/features.js';
import { leastSquares } from '../../src/compression/regression/fit.js';
import { refitLayer, solveLayer, type LayerProblem, type SolveOptions } from '../../src/compression/index.js';
import { seededRandom } from '../../src/compression/linalg/random.js';
import { identityMatrix } from '../../src/compression/regression/rank-step.js';
import { createEngine, matrix, type Engine, type Matrix } from '../../src/engines/index.js';
import { tensorflowEngine } from '../../src/engines/tensorflow/engine.js';
import { InputError } from '../../src/errors/index.js';
import { ACTIVATIONS, label } from './activations.js';
import { plantedLayer, plantedTucker, randomLayer } from './problems.js';
import { referenceAdmm, reluLoss, type Rows } from './reference.js';

const OPTIONS: SolveOptions = { reconstruction: 'after_activation', maxIterations: 40, seed: 1 };
const toRows = (a: Matrix): Rows =>
  Array.from({ length: a.rows }, (_, i) => [...a.data.subarray(i * a.cols, (i + 1) * a.cols)]);

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('onnxruntime', { threads: 1 });
});
afterAll(() => engine.dispose());

describe('against a float64 reference', () => {
  const tensorflow = async (): Promise<Engine> => {
    await tf.setBackend('cpu');
    return tensorflowEngine(tf, { gpu: false, threads: 1 });
  };
  const engines = { onnxruntime: () => createEngine('onnxruntime', { threads: 1 }), tensorflow };

  it.each(Object.entries(engines))('%s agrees to 1e-4 in the objective, iteration by iteration', async (_, create) => {
    const used = await create();
    for (const [seed, m, rank] of [
      [31, 10, 3],
      [32, 16, 2],
      [33, 7, 6],
    ] as const) {
      const problem = randomLayer({ m, channels: 5, taps: 4, samples: 300, seed });
      const inputs = matrix(300, 20, problem.inputs);
      const response = await used.multiply(inputs, matrix(m, 20, problem.weights), { transposeB: true });
      const target = matrix(
        300,
        m,
        response.data.map((x, i) => x + (problem.bias[i % m] ?? NaN)),
      );
      const prior = identityMatrix(m);
      const expected = referenceAdmm(toRows(response), toRows(target), toRows(prior), rank, 1e-3, 1, 12);
      const losses = expected.map((f) => reluLoss(toRows(target), f));

      const features = await whitenedFeatures(used, response, { free: 0, prior, ridge: 1e-3 });
      const random = seededRandom(1);
      const start = await leastSquares(used, features, target, { rank, warm: null, random });
      const y = matrix(300, m, applyActivation(problem.activation, target.data));
      const tolerances = { absolute: 0, relative: 0 };
      const options = { rank, maxIterations: 6, tolerances, rho: 1, fixedRho: true, random };
      const { merit } = await admm(used, { features, activation: problem.activation, y, start }, options);
      let lowest = Infinity;
      expect(merit.length).toBe(7);
      merit.forEach((loss, k) => {
        lowest = Math.min(lowest, losses[k] ?? NaN);
        expect(Math.abs(loss / lowest - 1), `seed ${seed} iteration ${k}`).toBeLessThan(1e-4);
      });
      features.held.dispose();
    }
    await used.dispose();
  });
});

describe('planted solutions', () => {
  it('are recovered exactly: rank', async () => {
    const problem = plantedLayer({ m: 24, channels: 12, taps: 9, samples: 600, seed: 41 }, 5, []);
    const { factors, diagnostics } = await solveLayer(
      engine,
      problem,
      { rank: 5, groups: 0 },
      { ...OPTIONS, ridge: 1e-6 },
    );
    expect(diagnostics.relativeError).toBeLessThan(1e-8);
    expect(factors.lowRank?.rank).toBe(5);
    expect(factors.sparse).toBeNull();
  });

  it('are recovered exactly: channels', async () => {
    const problem = plantedLayer({ m: 16, channels: 20, taps: 4, samples: 600, seed: 42 }, 1, [3, 4, 17]);
    problem.weights.forEach((_, i) => {
      if (![3, 4, 17].includes(Math.floor((i % 80) / 4))) problem.weights[i] = 0;
    });
    const { factors, diagnostics } = await solveLayer(
      engine,
      problem,
      { rank: 0, groups: 3 },
      { ...OPTIONS, ridge: 1e-6 },
    );
    expect(factors.sparse?.kept).toEqual([3, 4, 17]);
    expect(factors.lowRank).toBeNull();
    expect(diagnostics.relativeError).toBeLessThan(1e-5);
  });

  it.each([43, 44, 45, 46])('are recovered exactly: rank and channels together (seed %i)', async (seed) => {
    const planted = [2, 9, 21];
    const problem = plantedLayer({ m: 32, channels: 24, taps: 4, samples: 800, seed }, 4, planted);
    const { factors, diagnostics } = await solveLayer(
      engine,
      problem,
      { rank: 4, groups: 3 },
      { ...OPTIONS, ridge: 1e-6 },
    );
    expect(factors.sparse?.kept).toEqual(planted);
    expect(diagnostics.relativeError).toBeLessThan(1e-5);
  });
});

describe('planted shapes', () => {
  const channels = 16;
  const m = 24;

  it('are recovered: few combinations of the channels, at every tap', async () => {
    const problem = plantedTucker({ m, channels, taps: 9, samples: 900, seed: 47 }, 4, 5);
    const size = { shape: 'tucker', rank: 5, inner: 4, groups: 0 } as const;
    const { factors, diagnostics } = await solveLayer(engine, problem, size, { ...OPTIONS, ridge: 1e-6 });
    expect(factors.lowRank).toMatchObject({ shape: 'tucker', rank: 5, inner: 4 });
    expect(factors.lowRank?.basis).toHaveLength(4 * channels);
    expect(diagnostics.relativeError).toBeLessThan(1e-6);
  });

  it('are recovered: few combinations of the columns, for every place of the kernel', async () => {
    // A kernel of 3 x 3 whose columns are read as one axis of 48 numbers.
    const problem = {
      ...plantedTucker({ m, channels: 48, taps: 3, samples: 900, seed: 48 }, 6, 18),
      channels,
      taps: 9,
    };
    const size = { shape: 'spatial', rank: 6, inner: 0, groups: 0 } as const;
    const given = { ...problem, lastAxes: 3 };
    const { factors, diagnostics } = await solveLayer(engine, given, size, { ...OPTIONS, ridge: 1e-6 });
    expect(factors.lowRank).toMatchObject({ shape: 'spatial', rank: 6, inner: 0 });
    expect(diagnostics.relativeError).toBeLessThan(1e-6);
    const again = await refitLayer(engine, given, factors, { ...OPTIONS, ridge: 1e-6 });
    expect(again.diagnostics.relativeError).toBeLessThan(1e-6);
  });
});

describe('the iterations', () => {
  const problem = randomLayer({ m: 32, channels: 12, taps: 9, samples: 1500, seed: 51 });

  it('never end above the linear fit, and lower the error after a ReLU', async () => {
    for (const [rank, groups] of [
      [4, 0],
      [8, 2],
      [0, 6],
    ] as const) {
      const { diagnostics } = await solveLayer(engine, problem, { rank, groups }, OPTIONS);
      const { merit, relativeError, relativeErrorLinear } = diagnostics;
      for (let i = 1; i < merit.length; i++) expect(merit[i]).toBeLessThanOrEqual(merit[i - 1] ?? NaN);
      expect(relativeError).toBeLessThan(0.97 * relativeErrorLinear);
      expect(relativeError).toBeCloseTo(merit.at(-1) ?? NaN, 5);
    }
  });

  it('bring both residuals below their tolerances on a convex problem, at the least-squares solution', async () => {
    const linear = { ...problem, activation: { kind: 'identity' } as const };
    const { diagnostics } = await solveLayer(
      engine,
      linear,
      { rank: 32, groups: 0 },
      { ...OPTIONS, maxIterations: 200 },
    );
    expect(diagnostics.converged).toBe(true);
    expect(diagnostics.relativeError).toBeLessThan(1e-6);
    const low = await solveLayer(engine, linear, { rank: 6, groups: 0 }, OPTIONS);
    expect(low.diagnostics.relativeError / low.diagnostics.relativeErrorLinear).toBeCloseTo(1, 3);
  });

  it('bring both residuals below their tolerances after a ReLU, with adaptive rho from either side', async () => {
    for (const rho of [0.05, 1, 50]) {
      const inputs = matrix(1500, 108, problem.inputs);
      const response = await engine.multiply(inputs, matrix(32, 108, problem.weights), { transposeB: true });
      const target = matrix(
        1500,
        32,
        response.data.map((x, i) => x + (problem.bias[i % 32] ?? NaN)),
      );
      const features = await whitenedFeatures(engine, response, { free: 0, prior: identityMatrix(32), ridge: 1e-3 });
      const random = seededRandom(1);
      const start = await leastSquares(engine, features, target, { rank: 12, warm: null, random });
      const y = matrix(1500, 32, applyActivation(problem.activation, target.data));
      const tolerances = { absolute: 1e-3, relative: 1e-2 };
      const options = { rank: 12, maxIterations: 400, tolerances, rho, random };
      const result = await admm(engine, { features, activation: problem.activation, y, start }, options);
      expect(result.converged, `rho ${rho}`).toBe(true);
      expect(result.loss).toBeLessThan(0.95 * (result.merit[0] ?? NaN));
    }
  });

  it('give the same factors for the same seed', async () => {
    const solve = async (): Promise<unknown> =>
      (await solveLayer(engine, problem, { rank: 6, groups: 2 }, OPTIONS)).factors;
    expect(await solve()).toEqual(await solve());
  });

  it('stop when they are aborted', async () => {
    const controller = new AbortController();
    const onIteration = (i: number): void => {
      if (i === 2) controller.abort();
    };
    const running = solveLayer(
      engine,
      problem,
      { rank: 4, groups: 0 },
      { ...OPTIONS, signal: controller.signal, onIteration },
    );
    await expect(running).rejects.toThrow(/abort/i);
  });

  it('are left out for a linear reconstruction', async () => {
    const { diagnostics } = await solveLayer(
      engine,
      problem,
      { rank: 4, groups: 0 },
      { ...OPTIONS, reconstruction: 'linear' },
    );
    expect(diagnostics.iterations).toBe(0);
    expect(diagnostics.relativeError).toBeCloseTo(diagnostics.relativeErrorLinear, 6);
  });

  it.each(ACTIVATIONS.map((activation) => ({ activation, name: label(activation) })))(
    'do not fail after $name',
    async ({ activation }) => {
      const { diagnostics } = await solveLayer(
        engine,
        { ...problem, activation },
        { rank: 6, groups: 1 },
        { ...OPTIONS, maxIterations: 8 },
      );
      expect(diagnostics.relativeError).toBeLessThanOrEqual(diagnostics.relativeErrorLinear * (1 + 1e-4));
      expect(diagnostics.note).not.toBe('');
    },
  );
});

describe('unusual shapes', () => {
  it('works in the sample space when inputs and outputs outnumber the samples', async () => {
    const problem = randomLayer({ m: 150, channels: 400, taps: 1, samples: 100, seed: 61 });
    for (const space of ['response', 'inputs'] as const) {
      const { factors, diagnostics } = await solveLayer(
        engine,
        problem,
        { rank: 16, groups: 8 },
        { ...OPTIONS, space, maxIterations: 10, lean: 0 },
      );
      expect(factors.lowRank?.q.length).toBe(16 * 400);
      expect(diagnostics.relativeError).toBeLessThan(0.3);
    }
  });

  it('survives a dead layer and dead channels', async () => {
    const problem = randomLayer({ m: 16, channels: 6, taps: 4, samples: 200, seed: 62 });
    problem.inputs.forEach((_, i) => {
      if (i % 24 < 8) problem.inputs[i] = 0;
    });
    const { diagnostics } = await solveLayer(engine, problem, { rank: 4, groups: 2 }, OPTIONS);
    expect(diagnostics.relativeError).toBeLessThan(0.5);
    const dead: LayerProblem = {
      ...problem,
      inputs: new Float32Array(problem.inputs.length),
      bias: new Float32Array(16).fill(-1),
    };
    const solved = await solveLayer(engine, dead, { rank: 4, groups: 2 }, OPTIONS);
    expect(solved.diagnostics.relativeError).toBe(0);
  });

  it('refuses numbers that are not finite, and says where', async () => {
    const problem = randomLayer({ m: 4, channels: 4, taps: 1, samples: 50, seed: 63 });
    problem.inputs[7] = NaN;
    const act = solveLayer(engine, problem, { rank: 1, groups: 0 }, OPTIONS);
    await expect(act).rejects.toThrow(InputError);
    await expect(act).rejects.toThrow(/inputs holds NaN at 7/);
  });
});

describe('asymmetric inputs', () => {
  const problem = randomLayer({ m: 32, channels: 12, taps: 9, samples: 2000, seed: 71 });
  const random = seededRandom(72);

  it('the refit on the compressed network’s inputs recovers part of what they lost', async () => {
    const { factors } = await solveLayer(engine, problem, { rank: 10, groups: 1 }, OPTIONS);
    const weights = matrix(32, 108, problem.weights);
    const clean = await engine.multiply(matrix(2000, 108, problem.inputs), weights, { transposeB: true });
    const target = clean.data.map((x, i) => x + (problem.bias[i % 32] ?? NaN));
    const inputs = problem.inputs.map((x) => 0.8 * x + 0.2 * random());
    const shifted: LayerProblem = { ...problem, inputs, target };
    const none = await refitLayer(engine, shifted, factors, { ...OPTIONS, reconstruction: 'linear', ridge: 1e6 });
    const linear = await refitLayer(engine, shifted, factors, { ...OPTIONS, reconstruction: 'linear' });
    const full = await refitLayer(engine, shifted, factors, OPTIONS);
    expect(linear.diagnostics.relativeError).toBeLessThan(0.9 * none.diagnostics.relativeError);
    expect(full.diagnostics.relativeError).toBeLessThan(linear.diagnostics.relativeError);
    expect(full.factors.sparse?.kept).toEqual(factors.sparse?.kept);
    const fresh = await solveLayer(engine, shifted, { rank: 10, groups: 1 }, OPTIONS);
    expect(fresh.diagnostics.relativeError).toBeLessThan(1.1 * full.diagnostics.relativeError);
    const tuckerSizes = { shape: 'tucker', rank: 8, inner: 6 } as const;
    const tucker = { ...tuckerSizes, groups: 0 };
    const first = await solveLayer(engine, problem, tucker, OPTIONS);
    const again = await refitLayer(engine, shifted, first.factors, OPTIONS);
    expect(again.factors.lowRank?.basis).toBe(first.factors.lowRank?.basis);
    expect(again.factors.lowRank).toMatchObject(tuckerSizes);
  });
});
