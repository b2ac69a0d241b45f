import { allocate, type AllocationLayer, type Candidate } from '../../../compression/index.js';
import type { Spec, Target } from '../../../jobs/spec.js';
import { targetOf, wishOf, type Cost } from '../../../jobs/targets.js';
import { isDense, type Layer } from '../../../models/index.js';
import type { Curves } from '../../curves/curves.js';
import { withFinerRanks } from './finer.js';
import { effectOf } from './never-slower.js';
import { allowedForSize, allowedForSpeed } from './thrift.js';

/**
 * The candidates of every layer, by their effect on the network. Those that are smaller but not expected to be faster are
 * left out, unless the target needs them or loses much less with them.
 */
export function tablesFor(
  { target, benchmark }: Pick<Spec, 'target' | 'benchmark'>,
  curves: Curves,
): AllocationLayer[] {
  const limit = budgetOf(target, curves);
  const all = curves.layers.map(({ candidates, layer }) => ({
    candidates: (limit === null ? candidates : withFinerRanks(layer, candidates, limit)).map((candidate): Candidate => {
      const bias = isDense(candidate) ? biasOfRefit(layer) : 0;
      const { parameters, nonzeros, effect: error } = candidate;
      return { ...candidate, parameters: parameters + bias, nonzeros: nonzeros + bias, error };
    }),
    weight: 1,
  }));
  const { name } = wishOf(target);
  const [first = 1] = benchmark.batch_sizes;
  // A speedup is asked for at the first batch size.
  const tables = inBatches(all, name === 'speedup' ? [first] : benchmark.batch_sizes);
  const faster = tables.map(({ candidates, weight }) => {
    const dense = candidates.find(isDense);
    return { weight, candidates: candidates.filter((c) => isDense(c) || c.work < (dense?.work ?? Infinity)) };
  });
  if (limit === null) return faster;
  const { cost, budget } = limit;
  if (cost === 'nonzeros') return tables;
  const within = { cost, budget: budget - fixedCost(curves, cost) };
  if (leastOf(faster, cost) > within.budget || leastOf(tables, cost) > within.budget) return tables;
  const lost = (some: readonly AllocationLayer[]) => effectOf(some, allocate(some, within));
  const least = lost(tables);
  const allowed = cost === 'parameters' ? allowedForSpeed(least) : allowedForSize(least);
  // The rest of what is allowed is for the choice among them.
  return lost(faster) <= (least + allowed) / 2 ? faster : tables;
}

/**
 * The work of a sample in runs of so many: of many samples together each costs less, since weights are read and convolutions begun
 * once. Of several batch sizes the mean, each in relation to what the whole network takes at it.
 */
export function inBatches(tables: readonly AllocationLayer[], batches: readonly number[]): AllocationLayer[] {
  const run = ({ work, once = 0 }: { work: number; once?: number }, batch: number): number =>
    batch * (work - once) + once;
  const whole = (batch: number): number =>
    tables.reduce((sum, { candidates }) => sum + run(candidates.find(isDense) ?? NOTHING, batch), 0);
  const alone = whole(1);
  const scales = batches.map((batch) => ({ batch, scale: alone / (batches.length * Math.max(whole(batch), 1)) }));
  return tables.map(({ weight, candidates }) => ({
    weight,
    candidates: candidates.map((c) => ({
      ...c,
      work: scales.reduce((sum, { batch, scale }) => sum + scale * run(c, batch), 0),
    })),
  }));
}

const NOTHING = { work: 0 };

/** What the refit of a layer that stays dense may add to it: without this, a network of layers without bias would miss its target. */
export const biasOfRefit = ({ hasBias, m }: Layer): number => (hasBias ? 0 : m);

/** The same of the original, whose weights all count. */
export const originalCost = (of: Pick<Curves, 'parameters' | 'macs'>, cost: Cost): number =>
  of[cost === 'nonzeros' ? 'parameters' : cost];

export const leastOf = (tables: readonly AllocationLayer[], cost: Cost): number =>
  tables.reduce((sum, { candidates }) => sum + Math.min(...candidates.map((c) => c[cost])), 0);

/** What all layers together may cost, and the ratio that was asked for; null for a target that is not of a cost. */
export function budgetOf(
  target: Target,
  original: Pick<Curves, 'parameters' | 'macs'>,
): { cost: Cost; budget: number; asked: number } | null {
  const { name, asked } = wishOf(target);
  const { cost } = targetOf(name);
  return cost === null ? null : { cost, budget: Math.floor(originalCost(original, cost) / asked), asked };
}

/** Cost of what cannot be compressed. */
export function fixedCost(curves: Curves, cost: Cost): number {
  const weighted = curves.layers.reduce((sum, { layer }) => sum + originalCost(layer, cost), 0);
  return originalCost(curves, cost) - weighted;
}
