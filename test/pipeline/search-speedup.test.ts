import { describe, expect, it } from 'vitest';
import {
  confirmed,
  denseCost,
  isBetter,
  isLimited,
  nearest,
  searchSpeedup,
  usefulPlan,
} from '../../src/pipeline/steps/plan/search-speedup.js';
import type { AllocationLayer } from '../../src/compression/index.js';
import { DENSE } from '../../src/models/index.js';

/** Ranks of 8, 16, ... of a layer whose error falls and whose costs grow with the rank. */
function layer(scale: number, decay: number): AllocationLayer {
  const ranks = Array.from({ length: 16 }, (_, i) => 8 * (i + 1));
  const costs = (share: number) => ({
    parameters: scale * share,
    nonzeros: scale * share,
    macs: scale * share,
    work: scale * share,
    latency: 0.01 * scale * share,
  });
  return {
    weight: 1,
    candidates: [
      { ...DENSE, error: 0, ...costs(1) },
      ...ranks.map((rank) => ({ ...DENSE, rank, error: Math.exp(-decay * rank), ...costs(rank / 160) })),
    ],
  };
}

const layers = [layer(1000, 0.05), layer(400, 0.02), layer(2000, 0.1)];

/** A runtime on which every layer takes `overhead` more than the model of it says. */
function runtime(overhead: number, tables = layers) {
  const timed: number[] = [];
  const took = (choice: readonly number[]) =>
    tables.reduce((sum, { candidates }, i) => sum + (candidates[choice[i] ?? 0]?.latency ?? 0) + overhead, 0);
  const whole = took(layers.map(() => 0));
  const measure = (choice: readonly number[]) => {
    const ratio = whole / took(choice);
    timed.push(ratio);
    return Promise.resolve(ratio);
  };
  return { measure, timed, took };
}

const effect = (choice: readonly number[]) =>
  layers.reduce((sum, { candidates }, i) => sum + (candidates[choice[i] ?? 0]?.error ?? 0), 0);
const ignore = (): void => undefined;

describe('integers in a plan for a speedup', () => {
  const plan = { choice: [], reached: true, most: 2, ratio: 2, effect: 0.1, whole: 1 };
  const missed = { ...plan, reached: false };
  const faster = { ...plan, whole: 1.5, integers: true };

  it.each([
    ['take the place of more compression', { ...faster, effect: 0.02 }, plan, 0.01, true],
    ['are not taken where they change the outputs more', { ...faster, effect: 0.02 }, plan, 0.09, false],
    [
      'cost nothing where the plan that was made with them is faster without',
      { ...faster, integers: false, effect: 0.02 },
      plan,
      0.09,
      true,
    ],
    ['are not taken where they are hardly faster', { ...faster, whole: 1.04, effect: 0 }, plan, 0, false],
    ['are taken where they alone are fast enough', { ...faster, effect: 0.5 }, { ...plan, reached: false }, 0.1, true],
    [
      'are taken where neither is fast enough and they are clearly faster',
      { ...faster, ...missed, whole: 1.5, ratio: 2.2 },
      missed,
      0.1,
      true,
    ],
    [
      'are not taken where neither is fast enough and they are slower',
      { ...faster, ...missed, whole: 1.5, ratio: 1.8, effect: 0 },
      missed,
      0,
      false,
    ],
    [
      'are not taken where they leave nothing of the outputs',
      { ...faster, ...missed, whole: 1.5, ratio: 3 },
      missed,
      0.3,
      false,
    ],
    ['are not taken where they alone are too slow', { ...faster, reached: false, effect: 0 }, plan, 0, false],
  ])('%s', (_, integers, float, lost, taken) => {
    expect(isBetter(integers, float, lost)).toBe(taken);
  });

  it('leave less to be taken from the layers', async () => {
    const budgets: number[] = [];
    for (const whole of [1, 1.5]) {
      const { measure } = runtime(0);
      const { choice } = await searchSpeedup(
        layers,
        { cost: 'work', goal: 2, whole },
        async (tried) => whole * (await measure(tried)),
        ignore,
      );
      budgets.push(effect(choice));
    }
    expect(budgets[1]).toBeLessThan(budgets[0] ?? 0);
  });
});

describe('a plan that is about to be taken', () => {
  const plan = (ratio: number, effect: number) => ({ choice: [effect], ratio });
  const effectOf = ({ choice: [effect = NaN] }: { choice: number[] }) => effect;
  const target = { asked: 2, goal: 2.06 };

  it('is timed again, and the next one where it had only been lucky', async () => {
    const real = new Map([
      [1, 1.7],
      [2, 1.9],
      [3, 2.1],
      [4, 2.6],
    ]);
    const asked: number[] = [];
    const tried = [plan(2.2, 1), plan(2.1, 2), plan(2.15, 3), plan(2.7, 4)];
    const found = await confirmed(tried, target, effectOf, ({ choice: [effect = NaN] }) => {
      asked.push(effect);
      return Promise.resolve({ ratio: real.get(effect) ?? NaN, integers: effect === 3 });
    });
    expect(asked).toEqual([1, 2, 3]);
    expect(found).toMatchObject({ choice: [3], reached: true, integers: true });
  });

  it('is timed once more only where that confirms it', async () => {
    let times = 0;
    const found = await confirmed([plan(1, 0), plan(2.2, 1)], target, effectOf, () => {
      times++;
      return Promise.resolve({ ratio: 2.08 });
    });
    expect([times, found.choice, found.reached]).toEqual([1, [1], true]);
  });

  it('is the fastest, and none is timed again, where none was fast enough', async () => {
    const never = () => Promise.reject(new Error('timed again'));
    const tenth = (of: { choice: number[] }) => effectOf(of) / 10;
    const found = await confirmed([plan(1, 0), plan(1.5, 1), plan(1.51, 2)], target, tenth, never);
    expect(found).toMatchObject({ choice: [1], reached: false });
  });
});

describe('search of a speedup', () => {
  it.each([
    ['a model that is right', 0],
    ['a model that is blind for a part of the time', 1],
  ])('finds a plan that reaches the goal and is little faster, with %s', async (_, overhead) => {
    for (const goal of [1.5, 2, 3]) {
      for (const cost of ['latency', 'work'] as const) {
        const { measure, timed } = runtime(overhead);
        const { ratio } = await searchSpeedup(layers, { cost, goal, whole: 1 }, measure, ignore);
        expect(ratio).toBeGreaterThanOrEqual(goal);
        expect(ratio).toBeLessThan(1.15 * goal);
        expect(timed.length).toBeLessThanOrEqual(5);
      }
    }
  });

  it('gives the slowest of the tried plans that reach the goal, with the least effect', async () => {
    const { measure, timed } = runtime(0.5);
    const { choice, ratio } = await searchSpeedup(layers, { cost: 'latency', goal: 2, whole: 1 }, measure, ignore);
    expect(ratio).toBe(Math.min(...timed.filter((tried) => tried >= 2)));
    const faster = await searchSpeedup(layers, { cost: 'latency', goal: 3, whole: 1 }, runtime(0.5).measure, ignore);
    expect(effect(choice)).toBeLessThan(effect(faster.choice));
  });

  it('tries the least budget before it says that a goal is out of reach, and gives the fastest plan', async () => {
    const { measure, timed, took } = runtime(1);
    const { ratio } = await searchSpeedup(layers, { cost: 'latency', goal: 50, whole: 1 }, measure, ignore);
    const most = took([0, 0, 0]) / took([1, 1, 1]);
    expect(ratio).toBeCloseTo(most, 6);
    expect(ratio).toBe(Math.max(...timed));
  });

  it('takes the least effect of what reaches the speedup, or of what is about as fast as the fastest', () => {
    const tried = [1, 1.4, 1.41, 2].map((ratio, i) => ({ choice: [i], ratio }));
    const faster = ({ ratio }: { ratio: number }) => ratio;
    expect(nearest(tried, { asked: 1.3, goal: 1.3 }, faster)).toEqual({
      choice: [1],
      reached: true,
      most: 2,
      ratio: 1.4,
    });
    expect(nearest(tried.slice(0, 3), { asked: 1.5, goal: 1.5 }, faster)).toEqual({
      choice: [1],
      reached: false,
      most: 1.41,
      ratio: 1.4,
    });
    // One that only just reaches it may have been lucky: a margin that costs little is taken.
    expect(nearest(tried, { asked: 1.4, goal: 1.405 }, faster).choice).toEqual([2]);
    expect(nearest(tried, { asked: 1.4, goal: 1.45 }, ({ ratio }) => ratio ** 3).choice).toEqual([1]);
    expect(nearest(tried.slice(0, 1), { asked: 1.5, goal: 1.5 }, faster)).toEqual({
      choice: [0],
      reached: false,
      most: 1,
      ratio: 1,
    });
  });

  it('takes none that leaves nothing of the outputs where the speedup is out of reach', () => {
    const tried = [1, 1.4, 1.6].map((ratio, i) => ({ choice: [i], ratio }));
    const effects = [0, 0.2, 0.6];
    const found = nearest(tried, { asked: 2, goal: 2 }, ({ choice: [at = 0] }) => effects[at] ?? NaN);
    expect(found).toEqual({ choice: [1], reached: false, most: 1.6, ratio: 1.4 });
    expect([isLimited(found), isLimited({ ...found, ratio: 1.59 })]).toEqual([true, false]);
  });

  it('looks for the fastest that does', () => {
    for (const cost of ['latency', 'work'] as const) {
      const lost = effect(usefulPlan(layers, cost, effect));
      expect(lost).toBeLessThanOrEqual(0.25);
      expect(lost).toBeGreaterThan(0.1);
    }
  });

  it('tells the share that is done, and counts the cost of the dense network', async () => {
    const shares: number[] = [];
    await searchSpeedup(layers, { cost: 'work', goal: 2, whole: 1 }, runtime(1).measure, (share) => shares.push(share));
    expect(shares.every((share, i) => share > (shares[i - 1] ?? 0) && share <= 1)).toBe(true);
    expect(denseCost(layers, 'latency')).toBeCloseTo(34, 9);
  });
});
