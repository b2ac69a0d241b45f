import { allocate, type AllocationLayer, type AllocationTarget } from './allocate.js';

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
  const best = allocate(layers, target);
  const errorOf = (choice: readonly number[]) =>
    layers.reduce((sum, { candidates, weight }, i) => sum + weight * (candidates[choice[i] ?? 0]?.error ?? 0), 0);
  const costOf = (choice: readonly number[]) =>
    layers.reduce((sum, { candidates }, i) => sum + (candidates[choice[i] ?? 0]?.[other] ?? 0), 0);
  const least = errorOf(best);
  const dearest = costOf(best);
  if (!(least > 0) || !(dearest > 0)) return best;
  const most = allowed(least);
  const weighted = (multiplier: number) =>
    layers.map(({ candidates, weight }) => ({
      weight: 1,
      candidates: candidates.map((c) => ({ ...c, error: weight * c.error + multiplier * (c[other] ?? 0) })),
    }));
  const spent = (choice: readonly number[]) =>
    layers.reduce((sum, { candidates }, i) => sum + (candidates[choice[i] ?? 0]?.[target.cost] ?? 0), 0);
  // Layers may be too coarse to come near the budget at all.
  const fewest = Math.min(spent(best), (1 - MOST_UNSPENT) * target.budget);
  let kept = best;
  // From a millionth of the error for the whole cost to the error itself, many times over.
  let low = Math.log((1e-6 * least) / dearest);
  let high = Math.log((1e3 * least) / dearest);
  for (let round = 0; round < ROUNDS; round++) {
    const middle = (low + high) / 2;
    const choice = allocate(weighted(Math.exp(middle)), target);
    if (errorOf(choice) <= least || (errorOf(choice) <= most && spent(choice) >= fewest)) {
      if (costOf(choice) < costOf(kept)) kept = choice;
      low = middle;
    } else high = middle;
  }
  return kept;
}
