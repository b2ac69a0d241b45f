import { WORK_PER_SECOND } from './rate.js';
import type { Effort } from '../../jobs/spec.js';

/** What may be spent on changing all layers of one network together. */
export interface DistillationBudget {
  /** Multiply-accumulates. */
  work: number;
  /** At most. */
  passes: number;
  /** How near to the original (relative error of the outputs) a network is for nothing to be tried. */
  near: number;
}

/**
 * Fewer passes end while those over varied samples still make up for their first ones, which are large in every
 * direction.
 */
export const FEWEST_VARIED = 20;
/** The same of steps, over samples as they are. */
const FEWEST_STEPS = 100;
/** Samples of one step of the optimizer. */
export const STEP = 32;
/** One of so many samples is held out. */
export const HELD_OUT = 8;
/** Fewer samples tell nothing that the fit of the layers did not use already. */
export const FEWEST = 64;

const QUICK: DistillationBudget = { work: 9e11, passes: 16, near: 0.15 };
const MOST_PASSES = 250;
const BUDGETS: Readonly<Record<Exclude<Effort, number>, DistillationBudget>> = {
  quick: QUICK,
  standard: { work: 1.2e13, passes: 100, near: 0.03 },
  thorough: { work: 6e13, passes: MOST_PASSES, near: 0.03 },
};

/** @param seconds what is left for it of an effort in seconds, for each target */
export function distillationBudget(effort: Effort, seconds = 0): DistillationBudget {
  if (typeof effort === 'string') return BUDGETS[effort];
  return { work: Math.max(0, seconds) * WORK_PER_SECOND, passes: MOST_PASSES, near: BUDGETS.thorough.near };
}

/**
 * As many passes as a budget affords; between few plain ones and many over varied samples there is nothing to be
 * gained.
 * @param work of one sample: the original forwards, the compressed network forwards and twice backwards
 * @param samples that are passed over
 */
export function affordablePasses(budget: DistillationBudget, work: number, samples: number): number {
  const affordable = ({ passes, work: most }: DistillationBudget) =>
    Math.min(passes, Math.floor(most / Math.max(1, work * samples)));
  const most = affordable(budget);
  const passes = most >= FEWEST_VARIED ? most : Math.min(most, affordable(QUICK));
  return passes * Math.floor(samples / STEP) >= FEWEST_STEPS ? passes : 0;
}
