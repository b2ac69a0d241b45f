import { beforeAll, describe, expect, it, vi } from 'vitest';
import type { AllocationLayer } from '../../src/compression/index.js';
import { isDense } from '../../src/models/index.js';
import { compressLocally } from '../../src/pipeline/local.js';
import type * as real from '../../src/pipeline/steps/plan/never-slower.js';
import { scratch } from '../models/graphs.js';
import { localOptions, writeFiles, type Files } from './network.js';

/** Which plan is said to be fast enough; by itself, the first. */
const other = vi.hoisted(() => ({
  choose: null as ((tables: readonly AllocationLayer[], plans: readonly number[][]) => number[]) | null,
  plans: [] as number[][],
}));

vi.mock(import('../../src/pipeline/steps/plan/never-slower.js'), async (original) => {
  const module = await original();
  return {
    ...module,
    fastEnough: (assignment, context, { tables, plans, ...rest }) => {
      other.plans = [...plans];
      return other.choose === null
        ? module.fastEnough(assignment, context, { tables, plans, ...rest })
        : Promise.resolve({ choice: other.choose(tables, plans) });
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
    const method = { samples: 500, max_iterations: 2, distillation_passes: 0, weights: { coding: 'float32' } };
    const given = { target: { max_relative_error: 0.3 }, method, benchmark: { batch_sizes: [1] } };
    const result = await compressLocally({
      ...localOptions(files, scratch(), given),
      onProgress: (kind, _, fraction) => kind === 'plan' && fractions.push(fraction),
    });
    return { ...result, fractions };
  };
  const first = (_: readonly AllocationLayer[], [counted = []]: readonly number[][]) => counted;

  it('gives way to another one that is within bounds, and not to one that is not', async () => {
    const counted = await compress(first);
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
  }, 240_000);

  it('is counted as progress that never goes back', async () => {
    const { fractions } = await compress(null);
    expect(fractions.length).toBeGreaterThan(6);
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
  }, 240_000);
});
