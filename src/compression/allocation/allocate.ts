import { InputError } from '../../errors/index.js';
import type { AllocationLayer, AllocationTarget } from './allocation-layer.js';
import { leastOf, neighbours, settled, structureOf, structures, type SettledLayer } from './structure.js';

/** A candidate that no other one beats in both cost and weighted error. */
interface Option {
  index: number;
  cost: number;
  error: number;
}

/**
 * Chooses one candidate for every layer so that the weighted sum of errors is small and the costs stay within the
 * budget. Where layers depend on each other, some structures are tried.
 *
 * @throws {InputError} `unreachable_target`
 */
export function allocate(layers: readonly AllocationLayer[], target: AllocationTarget): number[] {
  const [best] = allocations(layers, target, null).sort((a, b) => a.error - b.error);
  return best.settled.map(({ places }, i) => places[best.choice[i]]);
}

/** An allocation of layers whose structure is settled. */
interface Allocation {
  settled: SettledLayer[];
  /** Among the settled candidates. */
  choice: number[];
  error: number;
}

/** With each structure that keeps the budget. @throws {InputError} `unreachable_target` */
export function allocations(
  layers: readonly AllocationLayer[],
  target: AllocationTarget,
  other: AllocationTarget['cost'] | null,
): Allocation[] {
  const all = structures(layers, target, other).map((structure) => settled(layers, structure));
  const within = all.filter((some) => leastOf(some, target.cost) <= target.budget);
  const allocated = (some: SettledLayer[]): Allocation => {
    const choice = allocateIndependent(some, target);
    return { settled: some, choice, error: errorOf(some, choice) };
  };
  // Where none is, the first says what can be reached.
  if (within.length === 0) return all.slice(0, 1).map(allocated);
  const found = within.map(allocated);
  return found.length === 1 ? found : [...found, improved(layers, target, { found, allocated })];
}

/** Other structures that are tried one at a time, from the best one on. */
const TRIES = 64;

/** Prices find what lies on the hull of all choices; between two of its corners there may be better ones. */
function improved(
  layers: readonly AllocationLayer[],
  target: AllocationTarget,
  { found, allocated }: { found: readonly Allocation[]; allocated: (some: SettledLayer[]) => Allocation },
): Allocation {
  const starts = found.toSorted((a, b) => a.error - b.error);
  let tries = 0;
  const climb = (from: Allocation): Allocation => {
    for (const structure of neighbours(layers, structureOf(from.settled))) {
      if (tries++ >= TRIES) return from;
      const some = settled(layers, structure);
      if (leastOf(some, target.cost) > target.budget) continue;
      const other = allocated(some);
      if (other.error < from.error) return climb(other);
    }
    return from;
  };
  const ends = starts.map((start) => (tries < TRIES ? climb(start) : start));
  return ends.reduce((least, one) => (one.error < least.error ? one : least));
}

/** The weighted sum. */
export const errorOf = (layers: readonly AllocationLayer[], choice: readonly number[]): number =>
  layers.reduce((sum, { candidates, weight }, i) => sum + weight * (candidates[choice[i] ?? 0]?.error ?? 0), 0);

/**
 * Chooses one candidate for every layer so that the weighted sum of errors is small and the costs stay within the
 * budget. Going down the lower convex hulls by the best gain per cost is the Lagrangian solution for every multiplier
 * in turn (Shoham and Gersho 1988); what the last, unaffordable step leaves of the budget is spent by single upgrades
 * and by pairwise exchanges.
 *
 * @throws {InputError} `unreachable_target`
 */
export function allocateIndependent(layers: readonly AllocationLayer[], target: AllocationTarget): number[] {
  const fronts = layers.map((layer) => paretoFront(layer, target.cost));
  const chosen = fronts.map(() => 0);
  const at = (layer: number, i: number): Option => fronts[layer][i];
  let left = target.budget - fronts.reduce((sum, _, layer) => sum + at(layer, 0).cost, 0);
  if (left < 0) throw unreachable(layers, target, target.budget - left);

  const steps = fronts.flatMap((front, layer) => hullSteps(front).map((step) => ({ layer, ...step })));
  steps.sort((a, b) => b.gain / b.cost - a.gain / a.cost || a.layer - b.layer || a.to - b.to);
  const stopped = new Set<number>();
  for (const { layer, to, cost } of steps) {
    if (stopped.has(layer)) continue;
    if (cost > left) {
      // A later step of this layer builds on this one.
      stopped.add(layer);
      continue;
    }
    chosen[layer] = to;
    left -= cost;
  }

  for (;;) {
    const move = bestExchange(fronts, chosen, left);
    if (move === null) break;
    for (const [layer, to] of move) {
      left += at(layer, chosen[layer]).cost - at(layer, to).cost;
      chosen[layer] = to;
    }
  }
  return chosen.map((i, layer) => at(layer, i).index);
}

/** Ascending cost, strictly descending error. */
function paretoFront({ candidates, weight }: AllocationLayer, cost: AllocationTarget['cost']): Option[] {
  const options = candidates.map((c, index) => ({ index, cost: c[cost] ?? Infinity, error: weight * c.error }));
  options.sort((a, b) => a.cost - b.cost || a.error - b.error || a.index - b.index);
  const front: Option[] = [];
  for (const option of options) {
    const last = front.at(-1);
    if (last === undefined || option.error < last.error) front.push(option);
  }
  if (front.length === 0) throw new RangeError('a layer without candidates');
  return front;
}

/** Edges of the lower convex hull, in order: the gain per cost falls along them. */
function hullSteps(front: readonly Option[]): { to: number; cost: number; gain: number }[] {
  const hull: number[] = [];
  const slope = (i: number, j: number): number => {
    const a = front[i];
    const b = front[j];
    return (a.error - b.error) / (b.cost - a.cost);
  };
  for (let i = 0; i < front.length; i++) {
    while (hull.length >= 2 && slope(hull.at(-2) as number, hull.at(-1) as number) <= slope(hull.at(-1) as number, i)) {
      hull.pop();
    }
    hull.push(i);
  }
  return hull.slice(1).map((to, k) => {
    const a = front[hull[k]];
    const b = front[to];
    return { to, cost: b.cost - a.cost, gain: a.error - b.error };
  });
}

type Move = [layer: number, to: number][];

/**
 * The single upgrade, or the upgrade paid for by one other layer, that lowers the sum of errors most; null: none does.
 */
function bestExchange(fronts: readonly Option[][], chosen: readonly number[], left: number): Move | null {
  let best: Move | null = null;
  let bestGain = 1e-12;
  for (let up = 0; up < fronts.length; up++) {
    const front = fronts[up];
    const from = front[chosen[up]];
    for (let to = chosen[up] + 1; to < front.length; to++) {
      const option = front[to];
      const gain = from.error - option.error;
      if (gain <= bestGain) continue;
      const missing = option.cost - from.cost - left;
      if (missing <= 0) {
        bestGain = gain;
        best = [[up, to]];
        continue;
      }
      for (let down = 0; down < fronts.length; down++) {
        if (down === up) continue;
        const other = fronts[down];
        const current = other[chosen[down]];
        const cheaper = lastAtMost(other, chosen[down], current.cost - missing);
        if (cheaper < 0) continue;
        const net = gain - (other[cheaper].error - current.error);
        if (net > bestGain) {
          bestGain = net;
          best = [
            [up, to],
            [down, cheaper],
          ];
        }
      }
    }
  }
  return best;
}

/** Largest index below `end` whose cost is at most `cost`, or -1. */
function lastAtMost(front: readonly Option[], end: number, cost: number): number {
  for (let i = end - 1; i >= 0; i--) if (front[i].cost <= cost) return i;
  return -1;
}

function unreachable(layers: readonly AllocationLayer[], target: AllocationTarget, smallest: number): InputError {
  const dense = layers.reduce(
    (sum, { candidates }) => sum + Math.max(...candidates.map((c) => c[target.cost] ?? Infinity)),
    0,
  );
  return new InputError(
    'unreachable_target',
    `the smallest choice for all layers needs ${smallest} ${target.cost}, the target allows ${Math.floor(target.budget)}: ` +
      `a ratio of ${(dense / smallest).toFixed(2)} over these layers is the most that can be reached`,
    {
      faults: [
        {
          pointer: '#/target',
          detail: `at most ${(dense / smallest).toFixed(2)} over the layers that can be compressed`,
        },
      ],
    },
  );
}
