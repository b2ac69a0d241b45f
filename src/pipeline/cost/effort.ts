import { DISTILLATION_PER_SECOND } from './rate.js';
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
 * Fewer passes end while those over varied samples still make up for their first ones. Networks that are near the original are changed in small
 * steps, of which every pass is a gain.
 */
const FEWEST_VARIED = { near: 8, far: 20 };
/** Relative error of the outputs below which a network is near. */
const NEAR = 0.15;
/** The same of steps, over samples as they are. */
const FEWEST_STEPS = 100;
/** Samples of one step of the optimizer. */
export const STEP = 32;
/** One of so many samples is held out. */
export const HELD_OUT = 8;
/** Fewer samples tell nothing that the fit of the layers did not use already. */
export const FEWEST = 64;

/** What is tried with little effort, and where more of it affords no more: passes over the samples as they are. */
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

/** Whether so many passes are worth varied samples. @param error relative error of the outputs before */
export const areVaried = (passes: number, error: number): boolean =>
  passes >= FEWEST_VARIED[error < NEAR ? 'near' : 'far'];

/**
 * As many passes as a budget affords; between few plain ones and many over varied samples there is nothing to be gained.
 * @param work of one sample: the original forwards, the compressed network forwards and twice backwards
 * @param samples that are passed over
 * @param error relative error of the outputs before
 */
export function affordablePasses(
  budget: DistillationBudget,
  { work, samples, error }: { work: number; samples: number; error: number },
): number {
  if (error < budget.near) return 0;
  const affordable = ({ passes, work: most }: DistillationBudget) =>
    Math.min(passes, Math.floor(most / Math.max(1, work * samples)));
  const most = affordable(budget);
  const plain = error < QUICK.near ? 0 : Math.min(most, affordable(QUICK));
  const passes = areVaried(most, error) ? most : plain;
  return passes * Math.floor(samples / STEP) >= FEWEST_STEPS ? passes : 0;
}
