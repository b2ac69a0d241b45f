import { describe, expect, it } from 'vitest';
import { outOfReach, usefulBudget } from '../../src/pipeline/steps/plan/out-of-reach.js';

const method = (layers: { include: string[]; exclude: string[] }) => ({ method: { layers } }) as never;

describe('what is given where a target is out of reach', () => {
  it('is the least that there is, where that leaves something of the outputs', () => {
    expect(usefulBudget({ least: 10, dense: 1000 }, () => 0.2)).toBe(10);
  });

  it('is the least that does, where less would be worth nothing', () => {
    // A quarter of the outputs is lost at 100.
    const effectAt = (budget: number) => 25 / budget;
    const budget = usefulBudget({ least: 10, dense: 1000 }, effectAt);
    expect(effectAt(budget)).toBeLessThanOrEqual(0.25);
    expect(budget).toBeLessThan(101);
  });

  it('is the least of all where no budget is of use', () => {
    expect(usefulBudget({ least: 10, dense: 1000 }, () => 3)).toBe(10);
    // Less than nothing, where what goes beside the layers is more than what is left of them.
    expect(usefulBudget({ least: -5, dense: 1000 }, (budget) => (budget >= 500 ? 0 : 3))).toBeCloseTo(500, -1);
    expect(usefulBudget({ least: 10, dense: 10 }, () => 3)).toBe(10);
  });

  it('is said with what limited it, and with what the client can do', () => {
    const all = method({ include: [], exclude: [] });
    expect(outOfReach('too much', all)).toEqual({
      code: 'target_out_of_reach',
      cause: 'too much',
      next: 'what came nearest is returned; ask for less',
    });
    expect(outOfReach('too much', all, true).cause).toContain('nothing would be left of the outputs');
    expect(outOfReach('too much', method({ include: [], exclude: ['a'] })).next).toContain('leave fewer layers dense');
  });
});
