import { describe, expect, it } from 'vitest';
import Value from 'typebox/value';
import { TargetSchema, type Target } from '../../src/jobs/spec.js';
import { isMeasured, targetNames, targetOf, wishOf } from '../../src/jobs/targets.js';
import { PLANNERS } from '../../src/pipeline/steps/plan/plan.js';

describe('the registry of targets', () => {
  it('has a planner for every target that is not of a cost, and for no other', () => {
    expect(Object.keys(PLANNERS).sort()).toEqual(targetNames.filter(isMeasured).sort());
  });

  it('has one target for a cost at most: a refusal names it', () => {
    const costs = targetNames.flatMap((name) => targetOf(name).cost ?? []);
    expect(new Set(costs).size).toBe(costs.length);
  });

  it.each(targetNames)('%s: the API takes it within its bounds, alone', (name) => {
    const { minimum, maximum } = targetOf(name);
    for (const asked of [minimum, maximum]) {
      const target = { [name]: asked } as Target;
      expect(Value.Check(TargetSchema, target)).toBe(true);
      expect(wishOf(target)).toEqual({ name, asked });
    }
    expect(Value.Check(TargetSchema, { [name]: minimum - 1 })).toBe(false);
    expect(Value.Check(TargetSchema, { [name]: maximum + 1 })).toBe(false);
    const other = targetNames.find((each) => each !== name) ?? name;
    expect(Value.Check(TargetSchema, { [name]: maximum, [other]: targetOf(other).maximum })).toBe(false);
  });

  it('takes no other name', () => {
    expect(Value.Check(TargetSchema, { size_ratio: 2 })).toBe(false);
  });
});
