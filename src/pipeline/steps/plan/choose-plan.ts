import type { Speedup } from '../../latency/block-interval.js';

/** A network is slower when it is measured below this: what lies between is noise, and plans are counted and not timed as far as that goes. */
export const SLOWER = 0.97;
/** Another plan has to be so much faster than the one that was counted best. */
const CLEARLY = 1.03;

/** What was measured of a plan, at every batch size. */
export interface TimedPlan {
  /** Over the original. */
  speeds: readonly Speedup[];
  /** Over the plan that was counted best. */
  gains: readonly Speedup[];
  /** On the outputs, as expected. */
  effect: number;
}

/** Not only as measured: its whole interval lies below 1. */
export const isSlower = ({ ratio, ci95: [, high] }: Speedup): boolean => ratio < SLOWER && high < 1;
const isFaster = ({ ratio, ci95: [low] }: Speedup): boolean => ratio > CLEARLY && low > 1;

/**
 * Which plan is taken: the one that was counted best, the first, unless it is slower than the original at a batch size and
 * others are faster there by more than the uncertainty of both. Of those that are, one that is nowhere slower than the original
 * and loses least; where there is none, the one that loses least of those that cannot be told from the fastest. So a choice
 * that times within their noise leave open goes by what is lost, and is the same every time.
 */
export function choosePlan(plans: readonly TimedPlan[]): number {
  const slowAt = (plans[0]?.speeds ?? []).flatMap((speed, batch) => (isSlower(speed) ? [batch] : []));
  if (slowAt.length === 0) return 0;
  const all = [...plans.entries()].map(([index, plan]) => ({ index, ...plan }));
  const faster = all.filter(({ gains }) =>
    slowAt.every((batch) => gains[batch] !== undefined && isFaster(gains[batch])),
  );
  const good = faster.filter(({ speeds }) => !speeds.some(isSlower));
  if (good.length > 0) return leastEffect(good);
  const lowest = ({ speeds }: TimedPlan) => Math.min(...speeds.map(({ ratio }) => ratio));
  const highest = ({ speeds }: TimedPlan) => Math.min(...speeds.map(({ ci95: [, high] }) => high));
  const most = Math.max(...faster.map(lowest));
  return leastEffect(faster.filter((plan) => highest(plan) >= most));
}

/** 0 where there is none. */
const leastEffect = (plans: readonly (TimedPlan & { index: number })[]): number =>
  plans.reduce((best, plan) => (plan.effect < best.effect ? plan : best), { index: 0, effect: Infinity }).index;
