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
  let before = sum(network, best, 'work');
  for (const slack of [0.2, 1, 4]) {
    const choice = allocateThrifty(network, target, 'work', (least) => (1 + slack) * least);
    expect(sum(network, choice, 'parameters')).toBeLessThanOrEqual(200);
    expect(sum(network, choice, 'error')).toBeLessThanOrEqual((1 + slack) * sum(network, best, 'error') + 1e-12);
    expect(sum(network, choice, 'work')).toBeLessThanOrEqual(before);
    before = sum(network, choice, 'work');
  }
  expect(before).toBeLessThan(0.9 * sum(network, best, 'work'));
});
