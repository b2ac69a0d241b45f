import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type * as Run from '../../src/compression/simd/run.js';
import { createEngine, type Engine } from '../../src/engines/index.js';
import type { Activation } from '../../src/models/activation.js';
import { label } from './activations.js';
import { randomLayer } from './problems.js';

/** The solver on a processor without vector instructions, and on this one. */
async function solvers() {
  const own = await import('../../src/compression/index.js');
  const vector = await import('../../src/compression/simd/activation-kernels.js');
  vi.resetModules();
  vi.doMock('../../src/compression/simd/run.js', async (original) => ({
    ...(await original<typeof Run>()),
    compiled: () => null,
  }));
  const plain = await import('../../src/compression/index.js');
  const none = await import('../../src/compression/simd/activation-kernels.js');
  vi.doUnmock('../../src/compression/simd/run.js');
  expect(vector.vectorPasses({ kind: 'relu' })).not.toBeNull();
  expect(none.vectorPasses({ kind: 'relu' })).toBeNull();
  return { own: own.solveLayer, plain: plain.solveLayer };
}

let engine: Engine;
let own: Awaited<ReturnType<typeof solvers>>['own'];
let plain: Awaited<ReturnType<typeof solvers>>['plain'];
beforeAll(async () => {
  engine = await createEngine('onnxruntime', { threads: 1 });
  ({ own, plain } = await solvers());
});
afterAll(() => engine.dispose());

const CASES: Activation[] = [
  { kind: 'relu' },
  { kind: 'identity' },
  { kind: 'clip', min: 0, max: 1 },
  { kind: 'leaky_relu', alpha: 0.1 },
];

it.each(CASES.map((activation) => ({ activation, name: label(activation) })))(
  'a layer before $name is fitted equally with and without vector instructions',
  async ({ activation }) => {
    // 13 outputs: no row begins where a vector does.
    const problem = randomLayer({ m: 13, channels: 6, taps: 4, samples: 1501, seed: 41, activation });
    const options = { reconstruction: 'after_activation', maxIterations: 30, seed: 1 } as const;
    const size = { rank: 3, groups: 1 };
    const { diagnostics: a } = await own(engine, problem, size, options);
    const { diagnostics: b } = await plain(engine, problem, size, options);
    expect(a.iterations).toBe(b.iterations);
    expect(a.relativeError).toBeGreaterThan(1e-3);
    expect(Math.abs(a.relativeError / b.relativeError - 1)).toBeLessThan(1e-5);
    a.merit.forEach((error, i) => expect(Math.abs(error / (b.merit[i] ?? NaN) - 1)).toBeLessThan(1e-5));
  },
);
