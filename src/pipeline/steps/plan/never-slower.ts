import type { AllocationLayer } from '../../../compression/index.js';
import type { Warning } from '../../../jobs/results.js';
import type { Assignment } from '../../../jobs/tasks.js';
import { DENSE, isDense, rewrite, Runner, type Model } from '../../../models/index.js';
import { dummyFactors } from '../../latency/candidate-latency.js';
import { quietTime } from '../../latency/latency.js';
import { timesInTurn } from '../../latency/network-latency.js';
import type { Curves } from '../../curves/curves.js';
import { batchesOf } from '../../network/batch.js';
import { openNetwork } from '../../network/network.js';
import type { StepContext } from '../../step.js';
import type { Chosen } from './plan-points.js';

/** Shares of a layer's work that its forms may have: the less, the more layers stay whole. */
const SHARES = [0.8, 0.6, 0.45];
/** A network is slower when it is measured below this: what lies between is noise, and plans are counted and not timed as far as that goes. */
const SLOWER = 0.97;
/** Another plan has to be so much faster than the one that was counted best. */
const CLEARLY = 1.03;
const WHOLE = { warmup: 3, minRuns: 11, fewestRuns: 3, maxRuns: 60, budgetSeconds: 1.5 };

/** The candidates with at most `share` of the work of the layer itself. */
const withShare = (tables: readonly AllocationLayer[], share: number): AllocationLayer[] =>
  tables.map(({ candidates, weight }) => {
    const dense = candidates.find(isDense)?.work ?? Infinity;
    return { weight, candidates: candidates.filter((c) => isDense(c) || c.work <= share * dense) };
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
 * The first of the plans, unless its network is slower than the original at one of the batch sizes: then the one of them all whose network
 * runs fastest on this machine; if that is slower, too, it is said. Factors have any values: only their sizes count.
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
    /** Of every plan, at every batch size. */
    const speeds = async (of: readonly number[][]): Promise<number[][]> => {
      const built = of.map((choice) => networkOf(network.prepared, { curves, tables, choice }));
      const given = { open, runs: WHOLE, signal: context.signal };
      const times = await timesInTurn([network.original, ...built], images, given);
      return of.map((_, i) => times.map(([before = [], ...after]) => quietTime(before) / quietTime(after[i] ?? [])));
    };
    const [counted = []] = await speeds([first]);
    context.progress(0.5);
    if (Math.min(...counted) >= SLOWER) return { choice: first };
    const found = plans.length > 1 ? await speeds(plans) : [counted];
    const all = found.map((list) => Math.min(...list));
    const fastest = all.indexOf(Math.max(...all));
    const best = (all[fastest] ?? 0) > CLEARLY * (all[0] ?? 0) ? fastest : 0;
    const choice = plans[best] ?? first;
    if ((all[best] ?? 0) >= SLOWER) return { choice };
    const speed = (i: number) => `${(found[best]?.[i] ?? 0).toFixed(2)}x at batch ${String(sizes[i])}`;
    return { choice, warnings: [noFasterPlan(plans.length, sizes.map((_, i) => speed(i)).join(', '))] };
  } finally {
    await network.close();
  }
}

/** Why what is only smaller may be slower; it is said if the finished network is. */
const noFasterPlan = (plans: number, speeds: string): Warning => ({
  code: 'slower',
  cause: `at this ratio layers have to be split that are not faster for it: of ${String(plans)} plans that lose about as little none was measured as fast as the original (${speeds})`,
  next: 'ask for a smaller ratio or for a speedup, or let it lose more',
});

/** With factors of the chosen sizes. */
export function networkOf(
  model: Model,
  { curves, tables, choice }: { curves: Curves; tables: readonly AllocationLayer[]; choice: readonly number[] },
): Model {
  const replacements = new Map(
    curves.layers.flatMap(({ layer }, i) => {
      const size = tables[i]?.candidates[choice[i] ?? 0] ?? DENSE;
      return isDense(size) ? [] : [[layer.name, dummyFactors(layer, size)] as const];
    }),
  );
  return rewrite(model, replacements);
}
