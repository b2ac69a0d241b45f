import type { Cost } from '../../../jobs/targets.js';
import { costOfOutputs, factoredCost, isDense, LOW_RANK_SHAPES, type Layer } from '../../../models/index.js';
import type { WeighedCandidate } from '../../curves/effects.js';

/** Of the budget: a step of one layer that costs more leaves so much of it unspent. */
const COARSE = 0.02;

/**
 * The candidates of a layer, with ranks in between where the next larger one costs more than a small part of the whole budget: in a
 * network whose weights lie in one layer, nothing else could spend what a coarse step leaves. What they lose is interpolated.
 */
export function withFinerRanks(
  layer: Layer,
  candidates: readonly WeighedCandidate[],
  { cost, budget }: { cost: Cost; budget: number },
): WeighedCandidate[] {
  const families = new Map<string, WeighedCandidate[]>();
  for (const candidate of candidates) {
    const { shape, inner, groups, rank } = candidate;
    if (isDense(candidate) || rank === 0) continue;
    const key = `${shape} ${String(inner)} ${String(groups)}`;
    families.set(key, [...(families.get(key) ?? []), candidate]);
  }
  const added = [...families.values()].flatMap((members) => {
    const sorted = members.toSorted((a, b) => a.rank - b.rank);
    return sorted.slice(1).flatMap((high, i) => {
      const low = sorted[i];
      return low === undefined ? [] : between(layer, [low, high], { cost, most: COARSE * budget });
    });
  });
  return [...candidates, ...added];
}

function between(
  layer: Layer,
  [low, high]: readonly [WeighedCandidate, WeighedCandidate],
  { cost, most }: { cost: Cost; most: number },
): WeighedCandidate[] {
  // The width of a first convolution is one that was looked at; a rank of the only factor is any.
  if (LOW_RANK_SHAPES[low.shape].narrows === 'input') return [];
  const gap = high.rank - low.rank;
  const steps = Math.min(gap, Math.ceil((high[cost] - low[cost]) / most));
  const ranks = new Set(Array.from({ length: steps - 1 }, (_, k) => low.rank + Math.round(((k + 1) * gap) / steps)));
  return [...ranks].map((rank) => {
    const share = (rank - low.rank) / gap;
    const at = (of: (candidate: WeighedCandidate) => number) => interpolated(of(low), of(high), share);
    return {
      ...low,
      ...factoredCost(layer, { ...low, rank }),
      outputs: costOfOutputs(layer, { ...low, rank }),
      rank,
      error: at(({ error }) => error),
      effect: at(({ effect }) => effect),
    };
  });
}

/** Errors fall as powers. */
const interpolated = (low: number, high: number, share: number): number =>
  low > 0 && high > 0 ? low ** (1 - share) * high ** share : low + share * (high - low);
