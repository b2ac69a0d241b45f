import { describe, expect, it } from 'vitest';
import {
  allocate,
  allocateThrifty,
  leastCost,
  type AllocationLayer,
  type Candidate,
} from '../../src/compression/index.js';
import { seededRandom } from '../../src/compression/linalg/random.js';
import { DENSE, DROPPED } from '../../src/models/index.js';

const costs = (parameters: number, work = parameters) => ({ parameters, nonzeros: parameters, macs: work, work });

/** Five layers: two branches of two, and one that is in none. What goes beside the layers of a branch is a cost of less than nothing. */
function layersOf(seed: number): AllocationLayer[] {
  const random = seededRandom(seed);
  return [0, 0, undefined, 1, 1].map((branch, i) => {
    const candidates = Array.from({ length: 4 }, (_, k): Candidate => {
      const size = 100 - 25 * k;
      return {
        ...{ ...DENSE, rank: k, ...costs(size, Math.round(size * (1 + random()))) },
        error: k === 0 ? 0 : 0.05 * k * (0.5 + random()),
      };
    });
    if (branch === undefined) return { weight: 1, candidates };
    const isFirst = i === 0 || i === 3;
    const gone: Candidate = { ...DROPPED, ...costs(isFirst ? -10 : 0), error: isFirst ? 0.4 * random() : 0 };
    return { weight: 1, candidates: [...candidates, gone], branch };
  });
}

const isGone = (layers: readonly AllocationLayer[], choice: readonly number[]): boolean[] =>
  layers.map(({ candidates }, i) => candidates[choice[i] ?? -1]?.dropped === true);

const sum = (layers: readonly AllocationLayer[], choice: readonly number[], of: 'parameters' | 'work' | 'error') =>
  layers.reduce((total, { candidates }, i) => total + (candidates[choice[i] ?? -1]?.[of] ?? NaN), 0);

/** Every choice in which the layers of a branch go together. */
function* choices(layers: readonly AllocationLayer[]): Generator<number[]> {
  const all = layers.reduce<number[][]>(
    (some, { candidates }) => some.flatMap((one) => [...candidates.keys()].map((k) => [...one, k])),
    [[]],
  );
  for (const choice of all) {
    const [a, b, , c, d] = isGone(layers, choice);
    if (a === b && c === d) yield choice;
  }
}

describe('layers of branches that may be left out', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('go together, near the best of all choices (seed %i)', (seed) => {
    const layers = layersOf(seed);
    for (const budget of [400, 300, 220, 150]) {
      const choice = allocate(layers, { cost: 'parameters', budget });
      const [a, b, , c, d] = isGone(layers, choice);
      expect([a, c]).toEqual([b, d]);
      expect(sum(layers, choice, 'parameters')).toBeLessThanOrEqual(budget);
      const within = [...choices(layers)].filter((one) => sum(layers, one, 'parameters') <= budget);
      const best = Math.min(...within.map((one) => sum(layers, one, 'error')));
      expect(sum(layers, choice, 'error')).toBeLessThan(1.1 * best + 1e-9);
    }
  });

  it('stay where nothing is asked', () => {
    const layers = layersOf(1);
    const choice = allocate(layers, { cost: 'parameters', budget: 500 });
    expect(choice).toEqual([0, 0, 0, 0, 0]);
  });

  it('make the least cost that there is', () => {
    const layers = layersOf(2);
    const least = leastCost(layers, 'parameters');
    expect(least).toBe(Math.min(...[...choices(layers)].map((one) => sum(layers, one, 'parameters'))));
    const choice = allocate(layers, { cost: 'parameters', budget: least });
    expect(isGone(layers, choice)).toEqual([true, true, false, true, true]);
    expect(() => allocate(layers, { cost: 'parameters', budget: least - 1 })).toThrow(/can be reached/);
  });

  it('do not go for the sake of another cost where much of the budget would be left, and something lost for it', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const layers = layersOf(seed);
      for (const budget of [420, 330, 250]) {
        const target = { cost: 'parameters', budget } as const;
        const best = allocate(layers, target);
        const choice = allocateThrifty(layers, target, 'work', (error) => 3 * error);
        if (sum(layers, choice, 'error') <= sum(layers, best, 'error') + 1e-9) continue;
        const spent = Math.min(sum(layers, best, 'parameters'), 0.96 * budget);
        expect(sum(layers, choice, 'parameters')).toBeGreaterThanOrEqual(spent);
      }
    }
  });

  it('go for the sake of another cost as well, within what the errors may rise', () => {
    for (const seed of [3, 4, 5]) {
      const layers = layersOf(seed);
      const target = { cost: 'parameters', budget: 250 } as const;
      const least = sum(layers, allocate(layers, target), 'error');
      const [tight, loose] = [1, 3].map((times) => allocateThrifty(layers, target, 'work', (error) => times * error));
      expect(sum(layers, loose ?? [], 'error')).toBeLessThanOrEqual(3 * least + 1e-9);
      expect(sum(layers, loose ?? [], 'work')).toBeLessThanOrEqual(sum(layers, tight ?? [], 'work'));
    }
  });
});
