import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type * as Compression from '../../src/compression/index.js';
import { InputError } from '../../src/errors/index.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { scratch } from '../models/graphs.js';
import { localOptions, writeFiles } from './network.js';

/** What becomes of the solve of the second convolution. */
const fault = vi.hoisted(() => ({ of: null as 'solve' | 'refit' | 'size' | null }));
const CONV1 = 32 * 9;

vi.mock('../../src/compression/index.js', async (original) => {
  const real = await original<typeof Compression>();
  const breaks = (problem: Compression.LayerProblem) => problem.channels * problem.taps === CONV1;
  const breakdown = () => new InputError('numerical_breakdown', 'a matrix is not positive definite');
  const solveLayer: typeof real.solveLayer = async (engine, problem, size, options) => {
    if (fault.of === 'solve' && breaks(problem)) throw breakdown();
    const solved = await real.solveLayer(engine, problem, size, options);
    const { lowRank } = solved.factors;
    if (fault.of !== 'size' || !breaks(problem) || lowRank === null) return solved;
    return { ...solved, factors: { ...solved.factors, lowRank: { ...lowRank, p: lowRank.p.map((v) => v * 1e38) } } };
  };
  const refitLayer: typeof real.refitLayer = async (engine, problem, factors, options) => {
    if (fault.of === 'refit' && breaks(problem)) throw breakdown();
    return real.refitLayer(engine, problem, factors, options);
  };
  return { ...real, solveLayer, refitLayer };
});

beforeEach(() => {
  fault.of = null;
});

async function compress(given: Record<string, unknown> = {}) {
  const directory = scratch();
  const method = { max_iterations: 4, samples: 300, ...given };
  const files = await writeFiles(directory);
  return compressLocally({
    ...localOptions(files, join(directory, 'out'), { method, target: { parameter_ratio: 6 } }),
    evaluation: null,
  });
}

describe('a layer', () => {
  it('whose solve breaks down stays dense with the reason, and the others are compressed', async () => {
    fault.of = 'solve';
    const { layers, verdict, metrics } = await compress();
    const broken = layers.filter(({ reason }) => reason?.startsWith('its fit broke down') ?? false);
    expect(broken.map(({ name }) => name)).toEqual(['conv1', 'conv2']);
    expect(broken[0]).toMatchObject({
      decision: 'dense',
      status: 'done',
      reason: 'its fit broke down: a matrix is not positive definite',
      rank: null,
      parameters: { ratio: 1 },
    });
    expect(layers.some(({ decision }) => decision === 'compressed')).toBe(true);
    // Counted on the file: the target was meant to be met with these layers.
    expect(verdict.passed).toBe(metrics.parameters.ratio >= 6);
    expect(Number.isFinite(metrics.fidelity.relative_error)).toBe(true);
  });

  it('whose refit breaks down stays as it was solved', async () => {
    fault.of = 'refit';
    const { layers, verdict } = await compress();
    expect(layers.find(({ name }) => name === 'conv1')).toMatchObject({ decision: 'compressed' });
    expect(verdict.passed).toBe(true);
  });

  it('whose compressed form overflows goes back to the dense one', async () => {
    fault.of = 'size';
    const { layers, metrics } = await compress({ inputs: 'symmetric', distillation_passes: 0 });
    const dense = layers.filter(({ reason }) => reason?.includes('overflows') ?? false);
    expect(dense.length).toBeGreaterThan(0);
    expect(dense.every(({ decision, parameters }) => decision === 'dense' && parameters.ratio === 1)).toBe(true);
    expect(Number.isFinite(metrics.fidelity.relative_error)).toBe(true);
  });
});
