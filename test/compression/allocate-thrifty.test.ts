import { expect, it } from 'vitest';
import { allocate, allocateThrifty, type AllocationLayer } from '../../src/compression/index.js';
import { seededRandom } from '../../src/compression/linalg/random.js';
import { DENSE } from '../../src/models/index.js';

/** Errors fall with the parameters; what a candidate works has little to do with either. */
function layers(seed: number): AllocationLayer[] {
  const random = seededRandom(seed);
  return Array.from({ length: 4 }, () => ({
    weight: 0.5 + random(),
    candidates: Array.from({ length: 12 }, (_, rank) => {
      const parameters = 100 - 8 * rank;
      const work = Math.round(parameters * (1 + 9 * random()));
      const cost = { parameters, nonzeros: parameters, macs: work, work };
      return { ...DENSE, rank, ...cost, error: rank === 0 ? 0 : 0.01 * rank * (0.5 + random()) };
    }),
  }));
}

const sum = (network: AllocationLayer[], choice: number[], of: 'parameters' | 'work' | 'error') =>
  network.reduce((total, { candidates, weight }, i) => {
    const value = candidates[choice[i] ?? -1]?.[of] ?? NaN;
    return total + (of === 'error' ? weight * value : value);
  }, 0);

it.each([1, 2, 3, 4, 5])('spends the allowed error on another cost, and keeps the budget (seed %i)', (seed) => {
  const network = layers(seed);
  const target = { cost: 'parameters', budget: 200 } as const;
  const best = allocate(network, target);
  expect(allocateThrifty(network, target, 'work', (least) => least)).toEqual(best);
  const fewest = Math.min(0.96 * 200, sum(network, best, 'parameters'));
  let before = sum(network, best, 'work');
  for (const slack of [0.2, 1, 4]) {
    const choice = allocateThrifty(network, target, 'work', (least) => (1 + slack) * least);
    expect(sum(network, choice, 'parameters')).toBeLessThanOrEqual(200);
    expect(sum(network, choice, 'parameters')).toBeGreaterThanOrEqual(fewest);
    expect(sum(network, choice, 'error')).toBeLessThanOrEqual((1 + slack) * sum(network, best, 'error') + 1e-12);
    expect(sum(network, choice, 'work')).toBeLessThanOrEqual(before);
    before = sum(network, choice, 'work');
  }
});

it('spends the budget where a smaller network would lose more, however fast it were', () => {
  // Of one family: less of everything, and more lost.
  const family = (scale: number): AllocationLayer => ({
    weight: 1,
    candidates: Array.from({ length: 100 }, (_, i) => {
      const size = scale * (100 - i);
      const cost = { parameters: size, nonzeros: size, macs: size, work: size };
      return { ...DENSE, rank: i, ...cost, error: 1e-6 * i * i };
    }),
  });
  const network = [family(1), family(3)];
  for (const budget of [100, 200, 300]) {
    const choice = allocateThrifty(network, { cost: 'parameters', budget }, 'work', (least) => 10 * least);
    expect(sum(network, choice, 'parameters')).toBeGreaterThanOrEqual(0.96 * budget);
  }
});

it('takes what works less of two that are of a size, for an error that is allowed', () => {
  const candidate = (work: number, error: number) => {
    const cost = { parameters: 60, nonzeros: 60, macs: work, work };
    return { ...DENSE, rank: work, ...cost, error };
  };
  const network = [{ weight: 1, candidates: [candidate(100, 1), candidate(10, 1.5)] }];
  const choose = (slack: number) =>
    allocateThrifty(network, { cost: 'parameters', budget: 60 }, 'work', (least) => slack * least);
  expect([choose(1.4), choose(2)]).toEqual([[0], [1]]);
});

it('gives less than the budget where that costs nothing', () => {
  const candidate = (parameters: number, work: number, error: number) => {
    const cost = { parameters, nonzeros: parameters, macs: work, work };
    return { ...DENSE, rank: 200 - parameters, ...cost, error };
  };
  const network = [{ weight: 1, candidates: [candidate(100, 100, 0), candidate(50, 90, 1), candidate(20, 10, 1)] }];
  expect(allocateThrifty(network, { cost: 'parameters', budget: 60 }, 'work', (least) => least)).toEqual([2]);
});
