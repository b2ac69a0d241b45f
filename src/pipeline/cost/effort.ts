import { DISTILLATION_PER_SECOND } from './rate.js';
import type { Effort } from '../../jobs/spec.js';

/** What may be spent on changing all layers of one network together. */
export interface DistillationBudget {
  /** Multiply-accumulates. */
  work: number;
  /** Passes at most, and of fewer samples as many as these are steps over 896 of them. */
  passes: number;
  /** How near to the original (relative error of the outputs) a network is for nothing to be tried. */
  near: number;
}

/** Relative error of the outputs below which a network is near. */
const NEAR = 0.15;
/** Fewer steps gain too little to be begun. */
const FEWEST_STEPS = 50;
/** Samples of one step of the optimizer. */
export const STEP = 32;
/** One of so many samples is held out. */
export const HELD_OUT = 8;
/** Fewer samples tell nothing that the fit of the layers did not use already. */
export const FEWEST = 64;

/** As many as a client may ask for. */
const MOST_PASSES = 1000;
/** What of 1,024 images are not held out. */
const USUAL_SAMPLES = 896;

/** What is tried with little effort. */
const QUICK: DistillationBudget = { work: 1.5e12, passes: 16, near: NEAR };
/** Of a whole job with one target, on two quiet cores. */
const JOB_SECONDS = { standard: 360, thorough: 1800 };
const PASSES = { standard: 100, thorough: 250 };
/** Below this nobody sees a difference. */
const SAME = 0.02;

/** Seconds that an effort leaves for one target. @param rest seconds of everything else: with one target, or a share of all for each */
export function distillationSeconds(effort: Effort, rest: number): number {
  if (effort === 'quick') return QUICK.work / DISTILLATION_PER_SECOND;
  return Math.max(0, (typeof effort === 'number' ? effort : JOB_SECONDS[effort]) - rest);
}

/** @param seconds as `distillationSeconds` gives them */
export function distillationBudget(effort: Effort, seconds: number): DistillationBudget {
  if (effort === 'quick') return QUICK;
  return {
    work: seconds * DISTILLATION_PER_SECOND,
    passes: PASSES[effort === 'standard' ? effort : 'thorough'],
    near: SAME,
  };
}

/** Of a pass over so many samples. */
export const stepsOfPass = (samples: number): number => Math.max(1, Math.floor(samples / STEP));

/**
 * As many passes as a budget affords.
 * @param work of one sample: the original forwards, the compressed network forwards and twice backwards
 * @param samples that are passed over
 * @param error relative error of the outputs before
 */
export function affordablePasses(
  budget: DistillationBudget,
  { work, samples, error }: { work: number; samples: number; error: number },
): number {
  if (error < budget.near) return 0;
  const each = stepsOfPass(samples);
  const more = Math.max(1, stepsOfPass(USUAL_SAMPLES) / each);
  const affordable = Math.floor(budget.work / Math.max(1, work * samples));
  const passes = Math.min(MOST_PASSES, Math.floor(more * budget.passes), affordable);
  return passes * each >= FEWEST_STEPS ? passes : 0;
}
