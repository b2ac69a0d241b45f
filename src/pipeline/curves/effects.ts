import type { Candidate, TapFits } from '../../compression/index.js';
import { isDense, LOW_RANK_SHAPES, PLAIN_SHAPE } from '../../models/index.js';
import type { BranchCurve } from './curves.js';
import { outputErrorOf, type SensitivityPoint } from './sensitivity.js';

/** A candidate and what it is expected to do to the network: relative squared error of the outputs. */
export type WeighedCandidate = Candidate & { effect: number };

/** What narrow first convolutions of one shape do to the layer and, at some widths, to the network. */
export interface TapEffect {
  fits: Pick<TapFits, 'shape' | 'widths' | 'errors'>;
  points: SensitivityPoint[];
}

/**
 * What is lost with channels is harder to make up for by the layers behind than what a limited rank loses: ResNet-20 at
 * 4x with one layer of an eighth of its channels was foreseen 7 % below the plan without, and came out 9 % above.
 */
const WIDTH_HARM = 1.5;
/**
 * The same of a layer that no other one follows: nothing makes up for it, while what is foreseen of the others is two to three times what
 * comes of it, since those behind are fitted again. openWakeWord's embedding at 2x came to 0.54, with a quarter of the channels of its
 * last layer, and to 0.35 with this.
 */
const LAST_HARM = 4;

/** What was measured of a layer's errors. */
export interface Effects {
  ranks: readonly SensitivityPoint[];
  taps: readonly TapEffect[];
  /** Of some of the input channels alone, where that was asked about. */
  channels: readonly SensitivityPoint[];
}

/**
 * Of what the outputs lose without a branch, what is left when all layers that stay have been changed together for it: in proportion to
 * the part of the sum that goes with it. Of ResNet-20 without one of its nine blocks, after 12 passes, in units of what is foreseen of
 * limited ranks, half of this was right within 2.1 times; the rest is caution, as 4x fewer parameters with two blocks left out for what half of it
 * promised came to 0.453, and to 0.420 with all blocks.
 */
const HARM_OF_BRANCH = 2;

/**
 * What is expected of a network without a branch; of both errors that were measured. Where layers are only fitted again one after the
 * other, they make up for no more than for what else is foreseen: MobileNetV2 at 1.5x.
 */
export const effectOfBranch = (
  { sumError, outputError }: Pick<BranchCurve, 'sumError' | 'outputError'>,
  isDistilled: boolean,
): number => (isDistilled ? outputError * Math.min(1, HARM_OF_BRANCH * sumError) : outputError);

/**
 * Narrowing the input and limiting the rank of the output lose different things: the same error of the layer is up to
 * four times worse for the network where the input was narrowed. Measured on VGG-16 the effects of both add up (within
 * 15 %), so that a few probes of each give the effect of all pairs.
 *
 * @param isLast whether no other layer follows
 */
export function withEffects(
  candidates: readonly Candidate[],
  { ranks: given, taps, channels }: Effects,
  isLast = false,
): WeighedCandidate[] {
  const harm = isLast ? LAST_HARM : WIDTH_HARM;
  const plainError = new Map(
    candidates
      .filter(({ shape, groups }) => shape === PLAIN_SHAPE && groups === 0)
      .map(({ rank, error }): [number, number] => [rank, error]),
  );
  // Of rank 0: an error in all directions.
  const whole = given.filter((point) => point.rank === 0);
  const limitedRanks = given.filter((point) => point.rank > 0);
  const ranks = limitedRanks.length > 0 ? limitedRanks : whole;
  return candidates.map((candidate) => {
    if (isDense(candidate)) return { ...candidate, effect: 0 };
    const { shape, rank, inner, error } = candidate;
    if (rank === 0 && channels.length > 0) return { ...candidate, effect: harm * outputErrorOf(channels, error) };
    if (rank === 0 && whole.length > 0) return { ...candidate, effect: outputErrorOf(whole, error) };
    const { narrows } = LOW_RANK_SHAPES[shape];
    const tap = taps.find(({ fits }) => fits.shape === shape);
    if (narrows === 'output' || tap === undefined) return { ...candidate, effect: outputErrorOf(ranks, error) };
    if (narrows === 'input') return { ...candidate, effect: outputErrorOf(tap.points, error) };
    const narrowed = tap.fits.errors[tap.fits.widths.indexOf(inner)] ?? error;
    // Where no plain candidate has this rank, the rank's share of the candidate's own error stands in.
    const limited = plainError.get(rank) ?? Math.max(error - narrowed, 0);
    return { ...candidate, effect: outputErrorOf(tap.points, narrowed) + outputErrorOf(ranks, limited) };
  });
}
