import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { applyActivation } from '../../src/compression/prox/activation-function.js';
import { factoredResponse } from '../../src/compression/low-rank/factors.js';
import { withAddedSamples } from '../../src/compression/regression/few-samples.js';
import { solveLayer, type LayerProblem } from '../../src/compression/index.js';
import { activatedLoss } from '../../src/compression/regression/objective.js';
import { createEngine, matrix, type Engine } from '../../src/engines/index.js';
import { randomLayer } from './problems.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('onnxruntime', { threads: 1 });
});
afterAll(() => engine.dispose());

const SHAPE = { m: 150, channels: 400, taps: 1, samples: 700, seed: 65 };
const few = (problem: LayerProblem, samples: number): LayerProblem => ({
  ...problem,
  inputs: problem.inputs.slice(0, samples * SHAPE.channels),
});

describe('a fully connected layer with fewer samples than outputs', () => {
  it('is fitted better for images that were not seen when samples are added', async () => {
    const whole = randomLayer(SHAPE);
    const seen = few(whole, 100);
    const unseen = matrix(600, 400, whole.inputs.subarray(100 * 400));
    const response = await engine.multiply(unseen, matrix(150, 400, whole.weights), { transposeB: true });
    const y = applyActivation(
      whole.activation,
      response.data.map((x, i) => x + (whole.bias[i % 150] ?? NaN)),
    );
    const errorOf = async (problem: LayerProblem): Promise<number> => {
      // Without leaning on the weights, which makes up for much of it in another way.
      const options = { reconstruction: 'after_activation', maxIterations: 20, seed: 1, lean: 0 } as const;
      const { factors } = await solveLayer(engine, problem, { rank: 60, groups: 0 }, options);
      const changed = await factoredResponse(engine, factors, unseen, problem);
      return (
        activatedLoss(whole.activation, y, changed.data) /
        activatedLoss(whole.activation, y, new Float32Array(y.length).fill(-1))
      );
    };
    // A branch that adds nothing changes nothing, except that its samples cannot be added to.
    const alone = await errorOf({ ...seen, skip: new Float32Array(100 * 150) });
    expect(await errorOf(seen)).toBeLessThan(0.85 * alone);
  });

  it('gets rows whose columns hold values of the samples, and the original response as their target', async () => {
    const seen = { ...few(randomLayer(SHAPE), 100), target: new Float32Array(100 * 150) };
    const { inputs, target } = await withAddedSamples(engine, seen, 1);
    expect(inputs.length).toBe(300 * 400);
    expect(target?.length).toBe(300 * 150);
    expect(inputs.subarray(0, 100 * 400)).toEqual(seen.inputs);
    const column = (data: Float32Array, j: number) =>
      Array.from({ length: data.length / 400 }, (_, i) => data[i * 400 + j]);
    for (const j of [0, 7, 399]) {
      const values = new Set(column(seen.inputs, j));
      expect(column(inputs, j).every((value) => values.has(value))).toBe(true);
    }
    let wanted = seen.bias[3] ?? NaN;
    for (let j = 0; j < 400; j++) wanted += (seen.weights[3 * 400 + j] ?? NaN) * (inputs[200 * 400 + j] ?? NaN);
    expect(target?.[200 * 150 + 3]).toBeCloseTo(wanted, 3);
  });

  it('stays as it is when its samples are enough, or belong to a convolution', async () => {
    const enough = randomLayer(SHAPE);
    expect(await withAddedSamples(engine, enough, 1)).toBe(enough);
    const conv = randomLayer({ m: 64, channels: 40, taps: 9, samples: 50, seed: 66 });
    expect(await withAddedSamples(engine, conv, 1)).toBe(conv);
  });
});
