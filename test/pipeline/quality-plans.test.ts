import { beforeAll, describe, expect, it, vi } from 'vitest';
import type { AllocationLayer } from '../../src/compression/index.js';
import { isDense } from '../../src/models/index.js';
import { compressLocally } from '../../src/pipeline/local.js';
import type * as real from '../../src/pipeline/steps/plan/never-slower.js';
import { scratch } from '../models/graphs.js';
import { localOptions, writeFiles, type Files } from './network.js';

/** Which plan is said to be fast enough; the first at first. */
const other = vi.hoisted(() => ({
  choose: (_: readonly AllocationLayer[], [counted = []]: readonly number[][]): number[] => counted,
  plans: [] as number[][],
}));

vi.mock(import('../../src/pipeline/steps/plan/never-slower.js'), async (original) => {
  const module = await original();
  return {
    ...module,
    fastEnough: (_, __, { tables, plans }) => {
      other.plans = [...plans];
      return Promise.resolve({ choice: other.choose(tables, plans) });
    },
  } satisfies typeof real;
});

describe('a plan for a target about the outputs that is slower than the original', () => {
  let files: Files;
  beforeAll(async () => {
    files = await writeFiles(scratch());
  });

  const compress = async (choose: typeof other.choose) => {
    other.choose = choose;
    const fractions: number[] = [];
    const layers = { include: ['conv1', 'conv2'] };
    const method = { layers, samples: 300, max_iterations: 2, distillation_passes: 0, weights: { coding: 'float32' } };
    const given = { target: { max_relative_error: 0.3 }, method, benchmark: { batch_sizes: [1] } };
    const result = await compressLocally({
      ...localOptions(files, scratch(), given),
      onProgress: (kind, _, fraction) => kind === 'plan' && fractions.push(fraction),
    });
    return { ...result, fractions };
  };
  const first = other.choose;

  it('gives way to another one that is within bounds, and not to one that is not; progress never goes back', async () => {
    const counted = await compress(first);
    expect(counted.fractions.length).toBeGreaterThan(6);
    expect(counted.fractions).toEqual(counted.fractions.toSorted((a, b) => a - b));
    const whole = await compress((tables) => tables.map(() => 0));
    const least = await compress((tables) =>
      tables.map(({ candidates }) => {
        const sizes = candidates.map((candidate) => (isDense(candidate) ? Infinity : candidate.parameters));
        return sizes.indexOf(Math.min(...sizes));
      }),
    );
    expect(other.plans.length).toBeGreaterThan(0);
    expect(counted.metrics.parameters.ratio).toBeGreaterThan(1.2);
    expect(whole.metrics.parameters.ratio).toBeCloseTo(1, 1);
    // The smallest of all keeps nothing.
    expect(least.metrics.parameters).toEqual(counted.metrics.parameters);
    expect(least.verdict.passed).toBe(true);
  });
});
