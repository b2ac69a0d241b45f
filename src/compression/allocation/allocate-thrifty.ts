import { allocateIndependent, allocations, errorOf } from './allocate.js';
import type { AllocationLayer, AllocationTarget } from './allocation-layer.js';

/** Halvings of the range of the multiplier. */
const ROUNDS = 24;
/** What of the budget may be left unspent for the sake of the other cost: a ratio of 2 becomes 2.08 at most. */
const MOST_UNSPENT = 0.04;

/**
 * As `allocate`, and then as cheap in another cost as is allowed: the sum of errors may rise over the least that the
 * target allows. The other cost enters the errors with a multiplier (Lagrangian), found by bisection. The budget is
 * spent all the same: who asks for half of the parameters is not given a quarter that has lost more.
 *
 * @param allowed the sum of errors that may be, for the least one
 * @throws {InputError} `unreachable_target`
 */
export function allocateThrifty(
  layers: readonly AllocationLayer[],
  target: AllocationTarget,
  other: AllocationTarget['cost'],
  allowed: (least: number) => number,
): number[] {
  const all = allocations(layers, target, other);
  const least = Math.min(...all.map(({ error }) => error));
  const most = least > 0 ? allowed(least) : least;
  // A structure that leaves much of the budget has to cost nothing for it.
  const isSpent = ({ settled, choice }: (typeof all)[number]) =>
    costOf(settled, choice, target.cost) >= (1 - MOST_UNSPENT) * target.budget;
  const found = all
    .filter((one) => one.error <= (isSpent(one) ? most : least))
    .map(({ settled, choice }) => {
      const kept = thrifty(settled, { target, other, best: choice, least, most });
      return { choice: kept.map((place, i) => settled[i].places[place]), cost: costOf(settled, kept, other) };
    });
  return found.reduce((best, one) => (one.cost < best.cost ? one : best)).choice;
}

const costOf = (
  layers: readonly AllocationLayer[],
  choice: readonly number[],
  cost: AllocationTarget['cost'],
): number => layers.reduce((sum, { candidates }, i) => sum + (candidates[choice[i] ?? 0]?.[cost] ?? 0), 0);

/** Of independent layers. */
function thrifty(
  layers: readonly AllocationLayer[],
  {
    target,
    other,
    best,
    least,
    most,
  }: {
    target: AllocationTarget;
    other: AllocationTarget['cost'];
    best: number[];
    /** The least sum of errors of all, and the most that may be. */
    least: number;
    most: number;
  },
): number[] {
  const dearest = costOf(layers, best, other);
  if (!(least > 0) || !(dearest > 0)) return best;
  const weighted = (multiplier: number) =>
    layers.map(({ candidates, weight }) => ({
      weight: 1,
      candidates: candidates.map((c) => ({ ...c, error: weight * c.error + multiplier * (c[other] ?? 0) })),
    }));
  // Layers may be too coarse to come near the budget at all.
  const fewest = Math.min(costOf(layers, best, target.cost), (1 - MOST_UNSPENT) * target.budget);
  let kept = best;
  // From a millionth of the error for the whole cost to the error itself, many times over.
  let low = Math.log((1e-6 * least) / dearest);
  let high = Math.log((1e3 * least) / dearest);
  for (let round = 0; round < ROUNDS; round++) {
    const middle = (low + high) / 2;
    const choice = allocateIndependent(weighted(Math.exp(middle)), target);
    const error = errorOf(layers, choice);
    if (error <= least || (error <= most && costOf(layers, choice, target.cost) >= fewest)) {
      if (costOf(layers, choice, other) < costOf(layers, kept, other)) kept = choice;
      low = middle;
    } else high = middle;
  }
  return kept;
}
