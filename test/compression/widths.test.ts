import { expect, it } from 'vitest';
import {
  allocate,
  allocateThrifty,
  leastCost,
  type AllocationLayer,
  type Candidate,
} from '../../src/compression/index.js';
import { seededRandom } from '../../src/compression/linalg/random.js';
import { DENSE } from '../../src/models/index.js';

const costs = (parameters: number, work = parameters) => ({ parameters, nonzeros: parameters, macs: work, work });

/** A chain: every layer alone reads the one before. Of the costs, a part goes with the outputs. */
function chain(seed: number, length = 3): AllocationLayer[] {
  const random = seededRandom(seed);
  return Array.from({ length }, (_, i) => {
    const factored = Array.from({ length: 5 }, (_, k): Candidate => {
      const size = 100 - 15 * k;
      return {
        ...{ ...DENSE, rank: k, ...costs(size, Math.round(size * (1 + random()))) },
        error: k === 0 ? 0 : 0.02 * k * (0.5 + random()),
        outputs: costs(k === 0 ? 100 : size / 2),
      };
    });
    const narrow = [0.25, 0.5, 0.75].map((share): Candidate => {
      return {
        ...{ ...DENSE, groups: 16 * share, ...costs(100 * share) },
        error: 0.04 * (1 - share) * (0.5 + random()),
        outputs: costs(100 * share),
        keeps: { counted: share, computed: share },
      };
    });
    return {
      weight: 1,
      candidates: i === 0 ? factored : [...factored, ...narrow],
      ...(i + 1 < length ? { reader: i + 1 } : {}),
    };
  });
}

type Cost = 'parameters' | 'work';

/** What a choice really costs: of a layer whose reader keeps a share, that share of what goes with its outputs. */
const costOf = (layers: readonly AllocationLayer[], choice: readonly number[], cost: Cost): number =>
  layers.reduce((sum, { candidates, reader }, i) => {
    const own = candidates[choice[i] ?? -1];
    const share = reader === undefined ? undefined : layers[reader]?.candidates[choice[reader] ?? -1]?.keeps?.counted;
    return sum + (own?.[cost] ?? NaN) - (1 - (share ?? 1)) * (own?.outputs?.[cost] ?? NaN);
  }, 0);

const errorOf = (layers: readonly AllocationLayer[], choice: readonly number[]): number =>
  layers.reduce((sum, { candidates, weight }, i) => sum + weight * (candidates[choice[i] ?? -1]?.error ?? NaN), 0);

function* choices(layers: readonly AllocationLayer[], from = 0): Generator<number[]> {
  if (from === layers.length) {
    yield [];
    return;
  }
  for (const rest of choices(layers, from + 1))
    for (const k of (layers[from]?.candidates ?? []).keys()) yield [k, ...rest];
}

it.each([1, 2, 3, 4, 5, 6])('is near the best of all choices, within the budget (seed %i)', (seed) => {
  const layers = chain(seed);
  for (const budget of [240, 180, 120]) {
    const choice = allocate(layers, { cost: 'parameters', budget });
    expect(costOf(layers, choice, 'parameters')).toBeLessThanOrEqual(budget + 1e-9);
    const all = [...choices(layers)].filter((one) => costOf(layers, one, 'parameters') <= budget);
    const best = Math.min(...all.map((one) => errorOf(layers, one)));
    expect(errorOf(layers, choice)).toBeLessThan(1.15 * best + 1e-9);
  }
});

it('is never worse than without', () => {
  for (const seed of [7, 8, 9]) {
    const layers = chain(seed, 5);
    const apart = layers.map(({ weight, candidates }) => ({
      weight,
      candidates: candidates.filter(({ keeps }) => keeps === undefined),
    }));
    const target = { cost: 'parameters', budget: 320 } as const;
    const before = errorOf(apart, allocate(apart, target));
    expect(errorOf(layers, allocate(layers, target))).toBeLessThanOrEqual(before + 1e-12);
  }
});

it('knows the least cost, and reaches it', () => {
  const layers = chain(3);
  const least = leastCost(layers, 'parameters');
  const real = Math.min(...[...choices(layers)].map((one) => costOf(layers, one, 'parameters')));
  expect(least).toBeCloseTo(real, 9);
  const choice = allocate(layers, { cost: 'parameters', budget: least });
  expect(costOf(layers, choice, 'parameters')).toBeCloseTo(least, 9);
  expect(() => allocate(layers, { cost: 'parameters', budget: least - 1 })).toThrow(/can be reached/);
});

it('saves another cost with what the errors may rise', () => {
  const layers = chain(4, 4);
  const target = { cost: 'parameters', budget: 250 } as const;
  const least = errorOf(layers, allocate(layers, target));
  let before = Infinity;
  for (const slack of [0, 0.5, 2]) {
    const choice = allocateThrifty(layers, target, 'work', (error) => (1 + slack) * error);
    expect(errorOf(layers, choice)).toBeLessThanOrEqual((1 + slack) * least + 1e-12);
    expect(costOf(layers, choice, 'parameters')).toBeLessThanOrEqual(250 + 1e-9);
    const work = costOf(layers, choice, 'work');
    expect(work).toBeLessThanOrEqual(before + 1e-9);
    before = work;
  }
});

it('leaves readers alone whose producers are not among the layers', () => {
  const [first, , last] = chain(5);
  if (first === undefined || last === undefined) throw new RangeError('no chain');
  const { reader: _, ...apart } = first;
  const choice = allocate([apart, last], { cost: 'parameters', budget: 90 });
  expect(costOf([apart, last], choice, 'parameters')).toBeLessThanOrEqual(90);
});
