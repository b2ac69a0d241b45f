import { describe, expect, it } from 'vitest';
import {
  affordablePasses,
  distillationBudget,
  distillationSeconds,
  seenInPass,
  sizeOfStep,
  stepsOfPass,
} from '../../../src/pipeline/cost/effort.js';

const network = (work: number, error = 0.2) => ({ work, samples: 896, error });

describe('what an effort affords', () => {
  it('is what the rest of the job leaves: nothing where it leaves nothing of seconds, and some minutes of other efforts', () => {
    expect(distillationSeconds('standard', 60)).toBe(300);
    expect(distillationSeconds('standard', 500)).toBe(120);
    expect(distillationSeconds('thorough', 60)).toBe(1740);
    expect(distillationSeconds('thorough', 2000)).toBe(300);
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

  it('sees as much of few samples as of 1,024, in more passes, and no less of more', () => {
    const over = (samples: number, effort: 'quick' | 'standard') =>
      affordablePasses(distillationBudget(effort, 300), { work: 1e6, samples, error: 0.2 });
    expect([over(896, 'standard'), over(224, 'standard'), over(56, 'standard')]).toEqual([100, 400, 1000]);
    expect([over(896, 'quick'), over(224, 'quick'), over(56, 'quick')]).toEqual([16, 64, 256]);
    expect(over(8960, 'standard')).toBe(100);
    expect([stepsOfPass(896), stepsOfPass(56), stepsOfPass(20)]).toEqual([28, 1, 1]);
  });

  it('does not begin what ends after few steps', () => {
    const of = (seconds: number) =>
      affordablePasses(distillationBudget('standard', seconds), { work: 3e9, samples: 140, error: 0.2 });
    // Four steps a pass.
    expect([of(300), of(100), of(99)]).toEqual([39, 13, 0]);
  });

  it('counts steps of as many samples as the network takes at a time', () => {
    expect([1, 8, 20, 32, 100, 256].map(sizeOfStep)).toEqual([32, 32, 40, 32, 100, 256]);
    expect([stepsOfPass(768, 256), seenInPass(768, 256)]).toEqual([3, 768]);
    // One step: the others wait for the next pass.
    expect([seenInPass(56), seenInPass(20), seenInPass(896)]).toEqual([32, 20, 896]);
    const of = (size: number) =>
      affordablePasses(distillationBudget('standard', 300), { work: 1e9, samples: 768, error: 0.2, size });
    expect(of(32)).toBe(19);
    expect(of(256)).toBe(19);
    expect(
      affordablePasses(distillationBudget('standard', 300), { work: 1.5e9, samples: 768, error: 0.2, size: 256 }),
    ).toBe(0);
  });
});
