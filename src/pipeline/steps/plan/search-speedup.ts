import { allocateThrifty, leastCost, type AllocationLayer } from '../../../compression/index.js';
import { isDense } from '../../../models/index.js';
import { isUseful, usefulBudget } from './out-of-reach.js';
import { allowedForSize } from './thrift.js';

/** Whole networks that are tried with each of the two costs before the plan settles. */
const ROUNDS = 5;
/** A plan that is so much faster than what is aimed at is near enough. */
const CLOSE = 1.04;

/** What a plan's budget is counted in: milliseconds, or the estimate of the work. */
export type SpeedCost = 'latency' | 'work';

/** A budget, and the share of the original's time that its plan took. */
interface Timed {
  budget: number;
  time: number;
}

/** Of a plan that was built and timed whole. */
export interface Speed {
  ratio: number;
  /** Whether it was faster with integers; they need not have been tried. */
  integers?: boolean;
}

/** A plan and what it came to. */
export interface Tried extends Speed {
  choice: number[];
}

/** The best plan of a search, and its speed. */
export interface Found extends Speed {
  choice: number[];
  reached: boolean;
  /** Speedup of the fastest plan. */
  most: number;
  /** On the outputs, as expected: squared, relative to their variance. */
  effect: number;
  /** Speedup with all layers dense. */
  whole: number;
}

/** Speedup that a network with integers has to have over that without, for them to be worth a search. */
export const CLEARLY_FASTER = 1.05;

/**
 * Whether the best plan of a search with integers takes the place of the best one without: where it alone reaches the speedup, or
 * changes the outputs less. Compressed as it is, it may be faster without them.
 * @param lost what integers alone change of the outputs: squared, relative to their variance
 */
export function isBetter(integers: Found, float: Found, lost: number): boolean {
  if (integers.whole < CLEARLY_FASTER) return false;
  if (integers.reached !== float.reached) return integers.reached;
  const effect = integers.effect + (integers.integers === true ? lost : 0);
  if (!float.reached) {
    if (isUseful(effect) !== isUseful(float.effect)) return isUseful(effect);
    const gain = integers.ratio / float.ratio;
    if (Math.max(gain, 1 / gain) >= CLEARLY_FASTER) return gain > 1;
  }
  return effect < float.effect;
}

/** Times of plans that differ by less are alike. */
const ALIKE = 0.98;

/** For the sake of the margin, the effect on the outputs may be so many times as large, and what nobody sees in any case. */
const WORTH_THE_MARGIN = { times: 2, unseen: 1e-3 };

/**
 * Of the plans that reach the speedup the one with the least effect, and whether there is one; else, of those about as fast as
 * the fastest that leaves something of the outputs. One that only just reaches it may have been lucky: where one that reaches `goal` costs little more, it is that.
 * @param goal what is asked for, and a margin
 */
export function nearest(
  tried: readonly Tried[],
  { asked, goal }: { asked: number; goal: number },
  effect: (plan: Tried) => number,
): Pick<Found, 'choice' | 'reached' | 'most' | 'ratio' | 'integers'> {
  const most = Math.max(...tried.map(({ ratio }) => ratio));
  const reached = most >= asked;
  const least = (plans: readonly Tried[]) =>
    plans.reduce<Tried | null>((best, one) => (best === null || effect(one) < effect(best) ? one : best), null);
  const useful = tried.filter((plan) => isUseful(effect(plan)));
  const usable = useful.length > 0 ? useful : tried;
  const fastest = Math.max(...usable.map(({ ratio }) => ratio));
  const best = least(
    reached ? tried.filter(({ ratio }) => ratio >= asked) : usable.filter(({ ratio }) => ratio >= ALIKE * fastest),
  );
  const safe = least(tried.filter(({ ratio }) => ratio >= goal));
  if (best === null) throw new RangeError('no plan was tried');
  const { times, unseen } = WORTH_THE_MARGIN;
  const chosen = safe !== null && effect(safe) <= times * effect(best) + unseen ? safe : best;
  return { ...chosen, reached, most };
}

/** Equal plans have equal keys. */
export const keyOf = ({ choice }: { choice: readonly number[] }): string => choice.join(' ');

/** Plans that are timed again, at most. */
const CONFIRMED = 3;

/**
 * As `nearest`, of plans that were timed again: the one that is taken for its time among many may owe that to luck. Where its
 * new time is not enough, the next one is timed again.
 *
 * @param again the speedup of a plan, measured more thoroughly
 */
export async function confirmed(
  tried: readonly Tried[],
  target: { asked: number; goal: number },
  effect: (plan: Tried) => number,
  again: (plan: Tried) => Promise<Speed>,
): Promise<ReturnType<typeof nearest>> {
  const sure = new Map<string, Speed>();
  // A search may come to the same plan more than once.
  const all = () => tried.map((plan) => ({ ...plan, ...sure.get(keyOf(plan)) }));
  for (let round = 0; round < CONFIRMED; round++) {
    const { choice, reached } = nearest(all(), target, effect);
    const plan = tried.find((one) => keyOf(one) === keyOf({ choice }));
    if (!reached || plan === undefined || sure.has(keyOf(plan))) break;
    sure.set(keyOf(plan), await again(plan));
  }
  // One that holds before one that was not timed again.
  const held = all().filter((plan) => sure.has(keyOf(plan)) && plan.ratio >= target.asked);
  return nearest(held.length > 0 ? held : all(), target, effect);
}

/**
 * The slowest plan within a budget of `cost` that reaches `goal`, or the fastest if none does.
 * @param whole speedup of the network with all layers dense: 1, or what integers make of it
 */
export async function searchSpeedup(
  tables: readonly AllocationLayer[],
  { cost, goal, whole }: { cost: SpeedCost; goal: number; whole: number },
  measure: (choice: readonly number[]) => Promise<number>,
  progress: (share: number) => void,
): Promise<Pick<Tried, 'choice' | 'ratio'>> {
  const dense = denseCost(tables, cost);
  const least = leastCost(tables, cost);
  let enough: Timed | null = null;
  let tooMuch: Timed = { budget: dense, time: 1 / whole };
  let budget = Math.max(least, (dense * whole) / goal);
  let best: Pick<Tried, 'choice' | 'ratio'> | null = null;
  for (let round = 0; round < ROUNDS; round++) {
    const choice = planWithin(tables, cost, budget);
    const ratio = await measure(choice);
    progress((round + 1) / ROUNDS);
    const reached = ratio >= goal;
    if (best === null || (reached ? best.ratio < goal || ratio < best.ratio : ratio > best.ratio))
      best = { choice, ratio };
    if ((reached && ratio < goal * CLOSE) || (!reached && budget <= least * (1 + 1e-9))) break;
    if (reached) enough = { budget, time: 1 / ratio };
    else tooMuch = { budget, time: 1 / ratio };
    if (enough !== null) budget = between(enough, tooMuch, 1 / goal);
    // Whether any plan can reach it is known only at the least budget.
    else budget = round + 2 < ROUNDS ? Math.max(least, (0.95 * budget * ratio) / goal) : least;
  }
  if (best === null) throw new RangeError('no plan was tried');
  return best;
}

/** The budget whose plan should take `time`, on the line through both (regula falsi), not too near to either. */
function between(enough: Timed, tooMuch: Timed, time: number): number {
  const share = (time - enough.time) / (tooMuch.time - enough.time);
  return enough.budget + (tooMuch.budget - enough.budget) * Math.min(0.8, Math.max(0.1, share));
}

/** The fastest plan that leaves something of the outputs, for a goal that is out of reach. @param effect of a choice */
export function usefulPlan(
  tables: readonly AllocationLayer[],
  cost: SpeedCost,
  effect: (choice: readonly number[]) => number,
): number[] {
  const range = { least: leastCost(tables, cost), dense: denseCost(tables, cost) };
  return planWithin(
    tables,
    cost,
    usefulBudget(range, (budget) => effect(planWithin(tables, cost, budget))),
  );
}

const planWithin = (tables: readonly AllocationLayer[], cost: SpeedCost, budget: number): number[] =>
  allocateThrifty(tables, { cost, budget }, 'parameters', allowedForSize);

/** Whether what was taken is not the fastest, for there would be nothing left of the outputs. */
export const isLimited = ({ ratio, most }: Pick<Found, 'ratio' | 'most'>): boolean => ratio < ALIKE * most;

export const denseCost = (tables: readonly AllocationLayer[], cost: SpeedCost): number =>
  tables.reduce((sum, { candidates }) => sum + (candidates.find(isDense)?.[cost] ?? 0), 0);
