import type { AllocationLayer } from '../../../compression/index.js';
import type { Warning } from '../../../jobs/results.js';
import type { Assignment } from '../../../jobs/tasks.js';
import {
  DENSE,
  isDense,
  rewrite,
  Runner,
  withoutBranches,
  withoutBypasses,
  type Model,
} from '../../../models/index.js';
import { dummyFactors } from '../../latency/candidate-latency.js';
import { speedupOfBlocks, type Speedup } from '../../latency/block-interval.js';
import { quietTime } from '../../latency/latency.js';
import { blocksInTurn, timesInTurn } from '../../latency/network-latency.js';
import type { Curves } from '../../curves/curves.js';
import { batchesOf } from '../../network/batch.js';
import { openNetwork } from '../../network/network.js';
import type { StepContext } from '../../step.js';
import { choosePlan, isSlower, SLOWER } from './choose-plan.js';
import { droppedBranches } from './dropped.js';
import type { Chosen } from './plan-points.js';

/** Shares of a layer's work that its forms may have: the less, the more layers stay whole. */
const SHARES = [0.8, 0.6, 0.45];
/** A first look, which mostly is enough. */
const WHOLE = { warmup: 3, minRuns: 11, fewestRuns: 3, maxRuns: 60, budgetSeconds: 1.5 };
/** Where it is not: blocks of sessions of their own, of which the fifth at either end does not count, and what a network takes in them all. */
const BLOCKS = { blocks: 8, fewest: 5, seconds: 1.5 };

/** The candidates with at most `share` of the work of the layer itself. */
const withShare = (tables: readonly AllocationLayer[], share: number): AllocationLayer[] =>
  tables.map((table) => {
    const { candidates } = table;
    const dense = candidates.find(isDense)?.work ?? Infinity;
    return { ...table, candidates: candidates.filter((c) => isDense(c) || c.work <= share * dense) };
  });

/**
 * The counted plan first, then those in which ever more layers stay whole: what is split gains more. None has a larger effect than is allowed.
 * @param plan allocates tables; null where they do not reach the target
 */
export function plansWithWholeLayers(
  tables: readonly AllocationLayer[],
  plan: (tables: readonly AllocationLayer[]) => number[] | null,
  most: number,
): number[][] {
  const found = new Map<string, number[]>();
  const add = (choice: number[]) => found.set(choice.join(' '), choice);
  const counted = plan(tables);
  if (counted !== null) add(counted);
  for (const share of SHARES) {
    const fewer = withShare(tables, share);
    const chosen = plan(fewer)?.map((k, i) => {
      const candidate = fewer[i]?.candidates[k];
      return candidate === undefined ? -1 : (tables[i]?.candidates.indexOf(candidate) ?? -1);
    });
    if (chosen !== undefined && effectOf(tables, chosen) <= most) add(chosen);
  }
  return [...found.values()];
}

export const effectOf = (tables: readonly AllocationLayer[], choice: readonly number[]): number =>
  tables.reduce((sum, { candidates, weight }, i) => sum + weight * (candidates[choice[i] ?? -1]?.error ?? Infinity), 0);

/**
 * The first of the plans, unless its network is slower than the original at one of the batch sizes and another one is clearly faster
 * on this machine; if that is slower, too, it is said. Factors have any values: only their sizes count.
 */
export async function fastEnough(
  assignment: Assignment,
  context: StepContext,
  { curves, tables, plans }: { curves: Curves; tables: readonly AllocationLayer[]; plans: readonly number[][] },
): Promise<Chosen> {
  const [first = []] = plans;
  const { benchmark } = assignment.spec;
  // What another runtime does with a plan is not measured beforehand.
  if (benchmark.runtime === 'tensorflowjs') return { choice: first };
  const network = await openNetwork(context, assignment);
  try {
    const { sizes, images } = await batchesOf(network, benchmark.batch_sizes);
    const threads = benchmark.threads ?? context.threads;
    const open = (model: Model) => Runner.open(model, { threads });
    const { signal } = context;
    const built = (choice: readonly number[]) => networkOf(network.prepared, { curves, tables, choice });
    const looked = await timesInTurn([network.original, built(first)], images, { open, runs: WHOLE, signal });
    context.progress(0.5);
    const counted = looked.map(([before = [], after = []]) => quietTime(before) / quietTime(after));
    if (Math.min(...counted) >= SLOWER) return { choice: first };
    const progress = (share: number) => context.progress(0.5 + 0.5 * share);
    const models = [network.original, ...plans.map(built)];
    const blocks = await blocksInTurn(models, images, { ...BLOCKS, open, signal, progress });
    /** Of one over another, by their places in `models`, at every batch size. */
    const speeds = (before: number, after: number): Speedup[] =>
      blocks.map((of) =>
        speedupOfBlocks(of.map((times) => ({ before: times[before] ?? [], after: times[after] ?? [] }))),
      );
    const timed = plans.map((choice, i) => ({
      speeds: speeds(0, i + 1),
      gains: speeds(1, i + 1),
      effect: effectOf(tables, choice),
    }));
    const best = choosePlan(timed);
    const choice = plans[best] ?? first;
    const found = timed[best]?.speeds ?? [];
    if (!found.some(isSlower)) return { choice };
    const speed = ({ ratio }: Speedup, i: number) => `${ratio.toFixed(2)}x at batch ${String(sizes[i])}`;
    return { choice, warnings: [noFasterPlan(plans.length, found.map(speed).join(', '))] };
  } finally {
    await network.close();
  }
}

/** Why what is only smaller may be slower; it is said if the finished network is. */
const noFasterPlan = (plans: number, speeds: string): Warning => ({
  code: 'slower',
  cause: `for so small a network layers have to be split that are not faster for it: of ${String(plans)} plans that lose about as little none was measured as fast as the original (${speeds})`,
  next: 'ask for less or for a speedup, or let it lose more',
});

/** With factors of the chosen sizes. */
export function networkOf(
  model: Model,
  { curves, tables, choice }: { curves: Curves; tables: readonly AllocationLayer[]; choice: readonly number[] },
): Model {
  const replacements = new Map(
    curves.layers.flatMap(({ layer }, i) => {
      const size = tables[i]?.candidates[choice[i] ?? 0] ?? DENSE;
      return isDense(size) || size.dropped === true ? [] : [[layer.name, dummyFactors(layer, size)] as const];
    }),
  );
  const dropped = droppedBranches(curves, tables, choice);
  if (dropped.length === 0) return rewrite(model, replacements);
  return withoutBypasses(
    rewrite(
      withoutBranches(
        model,
        dropped.map(({ sum }) => sum),
      ),
      replacements,
    ),
  );
}
