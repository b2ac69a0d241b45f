import type { Spec } from '../../../jobs/spec.js';
import type { Warning } from '../../../jobs/results.js';

/**
 * Effect on the outputs of a plan whose network would be worth nothing: a quarter of their variance, as expected. A detector (NudeNet) that
 * had lost half of it found none of 125 objects.
 */
const MOST_LOST = 0.25;

/** Whether a plan leaves something of the outputs. @param effect squared, relative to their variance */
export const isUseful = (effect: number): boolean => effect <= MOST_LOST;

/** Of the budget of the network as it came, the least part that is tried. */
const LEAST_SHARE = 1e-3;

/** The least budget of a search on a logarithmic scale: what goes with a branch may be more than what is left of the other layers. */
export const leastTried = ({ least, dense }: { least: number; dense: number }): number =>
  Math.max(least, LEAST_SHARE * dense);

/** Halvings of the range of budgets, on the logarithmic scale. */
const ROUNDS = 12;

/**
 * Where a target is out of reach, the budget of what is given instead: the least whose plan leaves something of the outputs, so that
 * whoever asked for too much has a network that he can use; the least of all where every plan does or none.
 *
 * @param range the least budget that there is a plan for, and that of the network as it came
 * @param effectAt effect of the plan of a budget: squared, relative to the outputs' variance
 */
export function usefulBudget(range: { least: number; dense: number }, effectAt: (budget: number) => number): number {
  if (isUseful(effectAt(range.least)) || range.dense <= range.least) return range.least;
  if (!isUseful(effectAt(range.dense))) return range.least;
  let [low, high] = [Math.log(leastTried(range)), Math.log(range.dense)];
  for (let round = 0; round < ROUNDS; round++) {
    const middle = (low + high) / 2;
    if (isUseful(effectAt(Math.exp(middle)))) high = middle;
    else low = middle;
  }
  return Math.exp(high);
}

/** Of a plan that comes as near to its target as any that was found. @param isLimited by what it would lose */
export const outOfReach = (
  cause: string,
  { method: { layers } }: Pick<Spec, 'method'>,
  isLimited = false,
): Warning => ({
  code: 'target_out_of_reach',
  cause: isLimited ? `${cause}; before that nothing would be left of the outputs` : cause,
  next:
    layers.exclude.length + layers.include.length === 0
      ? 'what came nearest is returned; ask for less'
      : 'what came nearest is returned; ask for less, or leave fewer layers dense',
});
