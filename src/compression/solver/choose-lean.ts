import { matrix } from '../../engines/index.js';
import { pickRows } from '../regression/held-out.js';
import type { LayerProblem } from '../problem.js';

/**
 * Strengths of the pull, relative to the mean variance of the inputs: the samples alone, to hardly more than the
 * weights alone.
 */
const STRENGTHS = [0, 0.1, 1, 10, 100];
/** Fewer samples cannot be shared: the weights are all there is to go by. */
const FEWEST = 20;
const WITHOUT_HELD_OUT = 10;
/**
 * With so many samples for each variable the samples alone do: the error that least squares adds to the least there is,
 * is a share of variables / samples of it.
 */
const ENOUGH = 20;
/** One in so many samples is held out, in stretches: neighbours are patches of one image. */
const HELD_OUT = 5;
const STRETCHES = 4;

/** Squared error on `test` of the layer fitted on `train`, by the strength of the pull. */
export type LeanTrials = (train: LayerProblem, test: LayerProblem) => (strength: number) => Promise<number>;

const isEnough = (samples: number, { m, d }: { m: number; d: number }): boolean => samples >= ENOUGH * Math.min(m, d);

/** How many linear fits `chooseLean` makes at most for a layer of [m, d] with so many samples. */
export const mostLeanTries = (shape: { m: number; d: number }, samples: number): number =>
  samples < FEWEST || isEnough(samples, shape) ? 0 : STRENGTHS.length;

/**
 * How far a fit leans on the original weights: the strength with the least error on samples that it did not see. With
 * few samples for many outputs a fit knows only these few, and factors of the weights alone would do better.
 *
 * @param isFree whether every weight is free, as those of some channels alone: then samples that are alike are few, however many they are
 */
export async function chooseLean(
  problem: LayerProblem,
  { isFree }: { isFree: boolean },
  trials: LeanTrials,
): Promise<number> {
  const m = problem.bias.length;
  const d = problem.channels * problem.taps;
  const samples = problem.inputs.length / d;
  if (!isFree && isEnough(samples, { m, d })) return 0;
  if (samples < FEWEST) return WITHOUT_HELD_OUT;
  const error = trials(...parts(problem, samples));
  let best = 0;
  let least = Infinity;
  for (const strength of STRENGTHS) {
    const seen = await error(strength);
    if (seen < least) [best, least] = [strength, seen];
    // Where samples determine the fit, the error has one valley.
    else if (samples >= Math.min(m, d)) break;
  }
  return best;
}

function parts(problem: LayerProblem, samples: number): [LayerProblem, LayerProblem] {
  const stretch = samples / (STRETCHES * HELD_OUT);
  const isTest = (row: number) => Math.floor(row / stretch) % HELD_OUT === HELD_OUT >> 1;
  const rows = Array.from({ length: samples }, (_, row) => row);
  const of = (chosen: readonly number[]): LayerProblem => {
    const picked = (data: Float32Array) => pickRows(matrix(samples, data.length / samples, data), chosen).data;
    const { inputs, target, skip } = problem;
    return {
      ...problem,
      inputs: picked(inputs),
      ...(target === undefined ? {} : { target: picked(target) }),
      ...(skip === undefined ? {} : { skip: picked(skip) }),
    };
  };
  return [of(rows.filter((row) => !isTest(row))), of(rows.filter(isTest))];
}
