import { allocate, leastCost, type AllocationLayer, type Candidate } from '../../../compression/index.js';
import type { Spec, Target } from '../../../jobs/spec.js';
import { countedBatches, targetOf, wishOf, type Cost } from '../../../jobs/targets.js';
import { DROPPED, isDense, type Layer, type LayerCost } from '../../../models/index.js';
import type { Curves } from '../../curves/curves.js';
import { effectOfBranch, type WeighedCandidate } from '../../curves/effects.js';
import { withFinerRanks } from './finer.js';
import { effectOf } from './never-slower.js';
import { allowedForSize, allowedForSpeed } from './thrift.js';

/**
 * The candidates of every layer, by their effect on the network. Those that are smaller but not expected to be faster are
 * left out, unless the target needs them or loses much less with them.
 * @param isDistilled whether all layers are changed together in the end
 */
export function tablesFor(
  { target, benchmark }: Pick<Spec, 'target' | 'benchmark'>,
  curves: Curves,
  isDistilled = true,
): AllocationLayer[] {
  const limit = budgetOf(target, curves);
  const own = curves.layers.map(({ candidates, layer }) => ({
    candidates: (limit === null ? candidates : withFinerRanks(layer, candidates, limit)).map((candidate): Candidate => {
      const own = isDense(candidate) ? withBias(candidate, biasOfRefit(layer)) : candidate;
      return { ...own, error: candidate.effect };
    }),
    weight: 1,
    ...readerOf(curves, layer),
  }));
  const all = withDropped(own, curves, isDistilled);
  const { name } = wishOf(target);
  const tables = inBatches(all, countedBatches(target, benchmark.batch_sizes));
  // What is not faster may be small enough all the same.
  if (name === 'bytes_ratio') return tables;
  const faster = tables.map(fasterForms);
  if (limit === null) return faster;
  const { cost, budget } = limit;
  if (cost === 'nonzeros') return tables;
  const within = { cost, budget: budget - fixedCost(curves, cost) };
  if (leastCost(faster, cost) > within.budget || leastCost(tables, cost) > within.budget) return tables;
  const lost = (some: readonly AllocationLayer[]) => effectOf(some, allocate(some, within));
  const least = lost(tables);
  const allowed = cost === 'parameters' ? allowedForSpeed(least) : allowedForSize(least);
  // The rest of what is allowed is for the choice among them.
  return lost(faster) <= (least + allowed) / 2 ? faster : tables;
}

/** With a candidate for every layer of a branch that may be left out; what is lost by that, and what goes beside them, is the first one's. */
function withDropped(
  tables: readonly AllocationLayer[],
  { branches = [], layers }: Curves,
  isDistilled: boolean,
): AllocationLayer[] {
  const places = new Map(layers.map(({ index }, place) => [index, place]));
  const result = [...tables];
  for (const [branch, { layers: inside, fixed, ...errors }] of branches.entries()) {
    const members = inside.flatMap((index) => places.get(index) ?? []);
    for (const [i, place] of members.entries()) {
      const table = result[place];
      const rest = i === 0 ? fixed : NO_COST;
      const none: Candidate = {
        ...DROPPED,
        ...{ parameters: -rest.parameters, nonzeros: -rest.nonzeros, macs: -rest.macs },
        ...{ work: -rest.work, once: -rest.once },
        error: i === 0 ? effectOfBranch(errors, isDistilled) : 0,
      };
      if (table !== undefined) result[place] = { ...table, branch, candidates: [...table.candidates, none] };
    }
  }
  return result;
}

/** The layer itself, and what of its candidates is counted as less work. */
export function fasterForms<Table extends { candidates: readonly Candidate[] }>(table: Table): Table {
  const dense = table.candidates.find(isDense)?.work ?? Infinity;
  return { ...table, candidates: table.candidates.filter((c) => isDense(c) || c.work < dense) };
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
  const mean = (cost: { work: number; once?: number }): number =>
    scales.reduce((sum, { batch, scale }) => sum + scale * run(cost, batch), 0);
  return tables.map((table) => ({
    ...table,
    candidates: table.candidates.map(({ outputs, ...c }) => ({
      ...c,
      work: mean(c),
      ...(outputs === undefined ? {} : { outputs: { ...outputs, work: mean(outputs) } }),
    })),
  }));
}

/** The layer that alone reads this one's outputs, if it can do without some. */
function readerOf({ layers }: Curves, { name }: Layer): Pick<AllocationLayer, 'reader'> {
  const reader = layers.findIndex(
    ({ layer, candidates }) => layer.narrows?.producer === name && candidates.some(({ keeps }) => keeps !== undefined),
  );
  return reader < 0 ? {} : { reader };
}

function withBias(candidate: WeighedCandidate, bias: number): WeighedCandidate {
  const more = <T extends { parameters: number; nonzeros: number }>(of: T): T => ({
    ...of,
    parameters: of.parameters + bias,
    nonzeros: of.nonzeros + bias,
  });
  const { outputs } = candidate;
  return { ...more(candidate), ...(outputs === undefined ? {} : { outputs: more(outputs) }) };
}

const NOTHING = { work: 0 };
const NO_COST: LayerCost = { parameters: 0, nonzeros: 0, macs: 0, work: 0, once: 0 };

/** What the refit of a layer that stays dense may add to it: without this, a network of layers without bias would miss its target. */
export const biasOfRefit = ({ hasBias, m }: Layer): number => (hasBias ? 0 : m);

/** The same of the original, whose weights all count. */
export const originalCost = (of: Pick<Curves, 'parameters' | 'macs'>, cost: Cost): number =>
  of[cost === 'nonzeros' ? 'parameters' : cost];

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
