import { DISTILLATION_PER_SECOND } from './rate.js';
import type { Effort } from '../../jobs/spec.js';

/** What may be spent on changing all layers of one network together. */
export interface DistillationBudget {
  /** Multiply-accumulates. */
  work: number;
  /** Passes over 896 samples at most; of fewer samples more, so that as many are seen. */
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
/** What a network may have whose compression alone takes most of that: without distillation it would be given for nothing. */
const LEAST_SECONDS = { standard: 120, thorough: 300 };
const PASSES = { standard: 100, thorough: 250 };
/** Below this nobody sees a difference. */
const SAME = 0.02;

/** Seconds that an effort leaves for one target. @param rest seconds of everything else: with one target, or a share of all for each */
export function distillationSeconds(effort: Effort, rest: number): number {
  if (effort === 'quick') return QUICK.work / DISTILLATION_PER_SECOND;
  if (typeof effort === 'number') return Math.max(0, effort - rest);
  return Math.max(LEAST_SECONDS[effort], JOB_SECONDS[effort] - rest);
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

/** Samples of a step of a network that takes `batch` of them at a time. */
export const sizeOfStep = (batch: number): number => batch * Math.max(1, Math.round(STEP / batch));

/** Of a pass over so many samples: those left over wait for the next one. @param size of a step */
export const stepsOfPass = (samples: number, size = STEP): number => Math.max(1, Math.floor(samples / size));

/** What a pass sees of so many samples. */
export const seenInPass = (samples: number, size = STEP): number =>
  Math.min(samples, stepsOfPass(samples, size) * size);

/**
 * As many passes as a budget affords.
 * @param work of one sample: the original forwards, the compressed network forwards and twice backwards
 * @param samples that are passed over
 * @param error relative error of the outputs before
 * @param size of a step
 */
export function affordablePasses(
  budget: DistillationBudget,
  { work, samples, error, size = STEP }: { work: number; samples: number; error: number; size?: number },
): number {
  if (error < budget.near) return 0;
  const most = Math.floor(Math.max(1, USUAL_SAMPLES / samples) * budget.passes);
  const affordable = Math.floor(budget.work / Math.max(1, work * seenInPass(samples, size)));
  const passes = Math.min(MOST_PASSES, most, affordable);
  return passes * stepsOfPass(samples, size) >= FEWEST_STEPS ? passes : 0;
}
