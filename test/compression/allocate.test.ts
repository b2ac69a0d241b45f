import { expect, it } from 'vitest';
import { allocate, type AllocationLayer } from '../../src/compression/index.js';
import { seededRandom } from '../../src/compression/linalg/random.js';
import { InputError } from '../../src/errors/index.js';
import { DENSE } from '../../src/models/index.js';

function network(random: () => number, layers: number, count: number): AllocationLayer[] {
  return Array.from({ length: layers }, () => {
    const size = 100 + Math.floor(random() * 900);
    const decay = 1 + random() * 8;
    const candidates = Array.from({ length: count }, (_, i) => {
      const share = i / count;
      const error = share === 0 ? 0 : Math.exp(-decay * (1 - share)) * (0.7 + 0.6 * random());
      const parameters = Math.round(size * (1 - share));
      return { ...DENSE, rank: i, parameters, nonzeros: parameters, macs: parameters * 7, work: parameters * 9, error };
    });
    return { candidates, weight: 0.2 + random() };
  });
}

const total = (layers: AllocationLayer[], choice: number[], of: (l: AllocationLayer, i: number) => number): number =>
  layers.reduce((sum, layer, i) => sum + of(layer, choice[i] ?? -1), 0);
const cost = (l: AllocationLayer, i: number): number => l.candidates[i]?.parameters ?? NaN;
const error = (l: AllocationLayer, i: number): number => l.weight * (l.candidates[i]?.error ?? NaN);

function bruteForce(layers: AllocationLayer[], budget: number, at = 0): number {
  const layer = layers[at];
  if (layer === undefined) return budget >= 0 ? 0 : Infinity;
  if (budget < 0) return Infinity;
  return Math.min(
    ...layer.candidates.map((_, i) => error(layer, i) + bruteForce(layers, budget - cost(layer, i), at + 1)),
  );
}

it('stays within the budget and comes within 3 % of the best choice on average, 15 % at worst', () => {
  const random = seededRandom(21);
  let sum = 0;
  const runs = 60;
  for (let run = 0; run < runs; run++) {
    const layers = network(random, 4, 9);
    const dense = total(layers, [0, 0, 0, 0], cost);
    const budget = dense / (1.5 + random() * 4);
    const choice = allocate(layers, { cost: 'parameters', budget });
    expect(total(layers, choice, cost)).toBeLessThanOrEqual(budget);
    const ratio = total(layers, choice, error) / bruteForce(layers, budget);
    expect(ratio).toBeLessThan(1.15);
    sum += ratio;
  }
  expect(sum / runs).toBeLessThan(1.03);
});

it('keeps every layer dense when the budget allows it', () => {
  const layers = network(seededRandom(22), 5, 6);
  expect(allocate(layers, { cost: 'parameters', budget: total(layers, [0, 0, 0, 0, 0], cost) })).toEqual([
    0, 0, 0, 0, 0,
  ]);
});

it('counts MACs when MACs are the target', () => {
  const layers = network(seededRandom(23), 6, 8);
  const dense = total(layers, Array<number>(6).fill(0), cost);
  expect(allocate(layers, { cost: 'macs', budget: (7 * dense) / 3 })).toEqual(
    allocate(layers, { cost: 'parameters', budget: dense / 3 }),
  );
});

it('spends more on the layer whose error weighs more', () => {
  const [layer] = network(seededRandom(24), 1, 12);
  if (layer === undefined) throw new Error('no layer');
  const budget = cost(layer, 0);
  const [light, heavy] = allocate(
    [
      { ...layer, weight: 1 },
      { ...layer, weight: 50 },
    ],
    { cost: 'parameters', budget },
  );
  expect(cost(layer, heavy ?? -1)).toBeGreaterThan(cost(layer, light ?? -1));
});

it('says which ratio can be reached when the target cannot', () => {
  const layers = network(seededRandom(25), 3, 5);
  const act = (): number[] => allocate(layers, { cost: 'parameters', budget: 10 });
  expect(act).toThrow(InputError);
  expect(act).toThrow(/ratio of \d+\.\d\d over these layers/);
});
