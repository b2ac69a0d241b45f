import { expect, it } from 'vitest';
import { allocate, type AllocationLayer } from '../../src/compression/index.js';
import { DENSE } from '../../src/models/index.js';
import { effectOf, plansWithWholeLayers } from '../../src/pipeline/steps/plan/never-slower.js';

const candidate = (rank: number, { parameters, work, error }: { parameters: number; work: number; error: number }) => ({
  ...DENSE,
  rank,
  ...{ parameters, nonzeros: parameters, macs: work, work, error },
});

/** Forms that save little work, and smaller ones that save much and lose more. */
const layer: AllocationLayer = {
  weight: 1,
  candidates: [
    candidate(0, { parameters: 100, work: 100, error: 0 }),
    candidate(8, { parameters: 80, work: 95, error: 0.01 }),
    candidate(4, { parameters: 50, work: 70, error: 0.025 }),
    candidate(2, { parameters: 30, work: 50, error: 0.05 }),
  ],
};
const tables = [layer, layer, layer, layer];
const plan = (some: readonly AllocationLayer[]) => {
  const least = some.reduce((sum, { candidates }) => sum + Math.min(...candidates.map((c) => c.parameters)), 0);
  return least > 320 ? null : allocate(some, { cost: 'parameters', budget: 320 });
};
const split = (choice: readonly number[]) => choice.filter((k) => k !== 0).length;

it('leaves ever more layers whole, within the effect that is allowed', () => {
  const plans = plansWithWholeLayers(tables, plan, 0.06);
  expect(plans.map(split)).toEqual([4, 2]);
  for (const choice of plans) {
    expect(effectOf(tables, choice)).toBeLessThanOrEqual(0.06);
    // In terms of all candidates, also where a plan was made from fewer.
    const parameters = choice.reduce((sum, k, i) => sum + (tables[i]?.candidates[k]?.parameters ?? Infinity), 0);
    expect(parameters).toBeLessThanOrEqual(320);
  }
});

it('has the counted plan alone where the others lose too much or do not reach the target', () => {
  expect(plansWithWholeLayers(tables, plan, 0.045).map(split)).toEqual([4]);
  const out = (some: readonly AllocationLayer[]) => (some[0]?.candidates.length === 4 ? plan(some) : null);
  expect(plansWithWholeLayers(tables, out, 1).map(split)).toEqual([4]);
});
