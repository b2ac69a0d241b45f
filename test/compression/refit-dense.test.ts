import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refitDense } from '../../src/compression/index.js';
import { seededRandom } from '../../src/compression/linalg/random.js';
import { createEngine, matrix, type Engine } from '../../src/engines/index.js';
import { randomLayer } from './problems.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('onnxruntime', { threads: 1 });
});
afterAll(() => engine.dispose());

/** The original response at samples that a compressed network hands on changed. */
async function asymmetric(samples: number, change: (x: number, i: number) => number) {
  const problem = randomLayer({ m: 12, channels: 40, taps: 1, samples, seed: 67 });
  const clean = await engine.multiply(matrix(samples, 40, problem.inputs), matrix(12, 40, problem.weights), {
    transposeB: true,
  });
  const target = clean.data.map((x, i) => x + (problem.bias[i % 12] ?? NaN));
  return { ...problem, inputs: problem.inputs.map(change), target };
}

describe('a layer that stays dense', () => {
  it('makes up for inputs that are systematically off', async () => {
    const problem = await asymmetric(1000, (x, i) => (i % 40 < 20 ? 0.6 * x : x + 0.1));
    const refitted = await refitDense(engine, problem);
    expect(refitted?.error).toBeLessThan(0.05 * (refitted?.errorBefore ?? 0));
  });

  it('keeps its weights when nothing is wrong, since held-out samples tell no gain', async () => {
    const problem = await asymmetric(1000, (x) => x);
    expect(await refitDense(engine, problem)).toBeNull();
  });

  it('does not chase noise with few samples', async () => {
    const random = seededRandom(68);
    const problem = await asymmetric(60, (x) => x + 0.02 * (random() - 0.5));
    const refitted = await refitDense(engine, problem);
    if (refitted !== null) expect(refitted.error).toBeLessThan(refitted.errorBefore);
  });

  it('needs a target', async () => {
    const problem = randomLayer({ m: 4, channels: 11, taps: 1, samples: 20, seed: 69 });
    await expect(refitDense(engine, problem)).rejects.toThrow(RangeError);
  });
});
