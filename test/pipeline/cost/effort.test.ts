import { describe, expect, it } from 'vitest';
import {
  affordablePasses,
  areVaried,
  distillationBudget,
  distillationSeconds,
} from '../../../src/pipeline/cost/effort.js';

const network = (work: number, error = 0.2) => ({ work, samples: 896, error });

describe('what an effort affords', () => {
  it('is what the rest of the job leaves: nothing where it leaves nothing', () => {
    expect(distillationSeconds('standard', 60)).toBe(300);
    expect(distillationSeconds('thorough', 60)).toBe(1740);
    expect(distillationSeconds(100, 60)).toBe(40);
    expect(distillationSeconds(100, 160)).toBe(0);
    expect(affordablePasses(distillationBudget(100, 0), network(1e6))).toBe(0);
  });

  it('is so many passes as its work has, up to a number', () => {
    const budget = distillationBudget('standard', 300);
    // 1.5e13 multiply-accumulates.
    expect(affordablePasses(budget, network(2e8))).toBe(83);
    expect(affordablePasses(budget, network(1e6))).toBe(100);
    expect(affordablePasses(distillationBudget('thorough', 300), network(1e6))).toBe(250);
  });

  it('is nothing for a network that is the same already, and nothing of little effort for one that is near', () => {
    expect(affordablePasses(distillationBudget('standard', 300), network(1e6, 0.015))).toBe(0);
    expect(affordablePasses(distillationBudget('standard', 300), network(1e6, 0.04))).toBe(100);
    expect(affordablePasses(distillationBudget('quick', 30), network(1e6, 0.1))).toBe(0);
    expect(affordablePasses(distillationBudget('quick', 30), network(1e6, 0.2))).toBe(16);
  });

  it('is few passes over samples as they are where it does not reach to many over varied ones', () => {
    const of = (passes: number, error: number) =>
      affordablePasses(distillationBudget(1e6, (passes * 896 * 1e8) / 5e10), network(1e8, error));
    expect([of(20, 0.2), areVaried(20, 0.2)]).toEqual([20, true]);
    expect([of(19, 0.2), areVaried(16, 0.2)]).toEqual([16, false]);
    // Near the original the steps are small: 8 will do, and fewer plain ones gain nothing.
    expect([of(8, 0.1), areVaried(8, 0.1)]).toEqual([8, true]);
    expect(of(7, 0.1)).toBe(0);
  });

  it('does not begin what ends after few steps', () => {
    expect(affordablePasses(distillationBudget('standard', 300), { work: 3e9, samples: 140, error: 0.2 })).toBe(35);
    expect(affordablePasses(distillationBudget('standard', 180), { work: 3e9, samples: 140, error: 0.2 })).toBe(0);
  });
});
