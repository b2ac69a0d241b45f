import { allocateThrifty, leastCost, solveLayer, type AllocationLayer } from '../../../compression/index.js';
import type { Dataset } from '../../../datasets/index.js';
import { createEngine, type Engine } from '../../../engines/index.js';
import { InputError } from '../../../errors/index.js';
import type { Assignment } from '../../../jobs/tasks.js';
import { isDense, rewrite, type Factors } from '../../../models/index.js';
import { breakdownOf } from '../../network/breakdown.js';
import { openNetwork, type Network } from '../../network/network.js';
import { askedAnswers, boundsOf, openQualityData, qualityOf, within, type Quality } from '../../network/quality.js';
import { refitInOrder } from '../../network/refit.js';
import { withoutDropped } from '../../network/without-dropped.js';
import type { Curves } from '../../curves/curves.js';
import { finishedOne, keyOf } from '../../files/finished.js';
import { readMetric, readProblem } from '../../files/layer-file.js';
import { files } from '../../files/step-files.js';
import type { StepContext } from '../../step.js';
import { droppedBranches } from './dropped.js';
import { effectOf, fastEnough, plansWithWholeLayers } from './never-slower.js';
import type { Chosen, NetworkPlan } from './plan-points.js';
import { leastTried } from './out-of-reach.js';
import { allowedForSpeed } from './thrift.js';

/** Networks that are built and measured; each halves the range of the parameter count on a logarithmic scale. */
const ROUNDS = 6;
/** Plans between the chosen one and the dense network, for the case that it does not hold. */
const FALLBACKS = 6;
/** Of the progress of the plan; the rest is for how fast it is. */
const SEARCH_SHARE = 0.9;
/** Samples of the search: without evaluation data there may be very many. */
const MOST_SEARCHED = 1024;

/**
 * The smallest network whose outputs are as good as is asked, by bisection over the parameter budget. Every trial is a real
 * network, measured on the samples of the search: its layers are fitted linearly on the samples that inspect took (a fit that two
 * trials share is made once) and refitted in order. Of plans with as few parameters that are expected to lose about as little, one is taken that is
 * not slower than the original. The job's own fit, after the activation, is better still; what codes the
 * weights is not part of the trials. So the finished network is measured again, on samples that this search does not see, and gives
 * way to the next of `fallbacks` where it does not hold.
 */
export async function planQuality(assignment: Assignment, context: StepContext, plan: NetworkPlan): Promise<Chosen> {
  const { curves, tables } = plan;
  const part = (from: number, to: number): StepContext => ({
    ...context,
    progress: (share) => context.progress(from + (to - from) * share),
  });
  const { best, budget, dense } = await smallestWithin(assignment, part(0, SEARCH_SHARE), plan);
  const within = (some: readonly AllocationLayer[]) =>
    leastCost(some, 'parameters') > budget
      ? null
      : allocateThrifty(some, { cost: 'parameters', budget }, 'work', allowedForSpeed);
  // The counted one is the best of the search.
  const plans = plansWithWholeLayers(tables, within, allowedForSpeed(effectOf(tables, best)));
  const { choice, ...said } = best.every((place) => place === 0)
    ? { choice: best }
    : await fastEnough(assignment, part(SEARCH_SHARE, 1), { curves, tables, plans });
  const fallbacks = lessCompressed(tables.map(withBranch), choice, { from: Math.log(budget), to: Math.log(dense) });
  return { choice, fallbacks, ...said };
}

/** The bisection: the plan with the fewest parameters that was within bounds, what it could have of them, and what the network has. */
async function smallestWithin(
  assignment: Assignment,
  context: StepContext,
  { curves, tables, shared }: NetworkPlan,
): Promise<{ best: number[]; budget: number; dense: number }> {
  const bounds = boundsOf(assignment.spec);
  const network = await openNetwork(context, assignment);
  const engine = await createEngine(context.engine, { threads: context.threads });
  const data = await openQualityData(assignment, network, context);
  try {
    const search = evenly(data.search, MOST_SEARCHED);
    if (bounds.max_accuracy_drop !== undefined && search.labels === null) throw needsLabels();
    let best = tables.map(() => 0);
    const all = tables.reduce((sum, { candidates }) => sum + (candidates.find(isDense)?.parameters ?? 0), 0);
    let low = Math.log(leastTried({ least: leastCost(tables, 'parameters'), dense: all }));
    let high = Math.log(all);
    for (let round = 0; round < ROUNDS; round++) {
      const middle = (low + high) / 2;
      const choice = allocateThrifty(tables, { cost: 'parameters', budget: Math.exp(middle) }, 'work', allowedForSpeed);
      const key = choice.join(' ');
      let after = shared.qualities.get(key);
      if (after === undefined) {
        const trying = { network, curves, tables, choice, engine, fits: shared.fits, search };
        after = await trial(assignment, context, trying);
        shared.qualities.set(key, after);
      }
      if (within(bounds, after)) {
        best = choice;
        high = middle;
      } else low = middle;
      context.progress((round + 1) / ROUNDS);
    }
    return { best, budget: Math.exp(high), dense: all };
  } finally {
    await data.close();
    await engine.dispose();
    await network.close();
  }
}

/** Without the choice of leaving it out, which comes last. */
const withBranch = ({ branch: _, candidates, ...table }: AllocationLayer): AllocationLayer => ({
  ...table,
  candidates: candidates.filter(({ dropped }) => dropped !== true),
});

/** Plans with ever larger budgets, on the logarithmic scale from one to the other; those that differ. */
function lessCompressed(
  tables: readonly AllocationLayer[],
  best: readonly number[],
  { from, to }: { from: number; to: number },
): number[][] {
  const plans = new Map<string, number[]>();
  const least = leastCost(tables, 'parameters');
  for (let i = 1; i <= FALLBACKS; i++) {
    const budget = Math.max(least, Math.exp(from + ((to - from) * i) / (FALLBACKS + 1)));
    const choice = allocateThrifty(tables, { cost: 'parameters', budget }, 'work', allowedForSpeed);
    plans.set(choice.join(' '), choice);
  }
  plans.delete(best.join(' '));
  plans.delete(tables.map(() => 0).join(' '));
  return [...plans.values()];
}

const evenly = (data: Dataset, most: number): Dataset =>
  data.count <= most
    ? data
    : data.subset(Uint32Array.from({ length: most }, (_, i) => Math.floor((i * data.count) / most)));

export function needsLabels(): InputError {
  const detail = 'max_accuracy_drop needs evaluation data with labels (x and y)';
  return new InputError('invalid_spec', detail, { faults: [{ pointer: '/evaluation', detail }] });
}

/** What a trial is made from. */
interface Trying {
  network: Network;
  curves: Curves;
  tables: readonly AllocationLayer[];
  choice: readonly number[];
  engine: Engine;
  fits: Map<string, Factors>;
  search: Dataset;
}

async function trial(
  assignment: Assignment,
  context: StepContext,
  { network, curves, tables, choice, engine, fits, search }: Trying,
): Promise<Quality> {
  const { method } = assignment.spec;
  const linear = { ...method, reconstruction: 'linear' as const, max_iterations: 0, inputs: 'refit' as const };
  const inspected = finishedOne(assignment, 'inspect');
  const solved = new Map<number, Factors>();
  for (const [i, { index }] of curves.layers.entries()) {
    const chosen = tables[i]?.candidates[choice[i] ?? 0];
    if (chosen === undefined || isDense(chosen) || chosen.dropped === true) continue;
    const key = [index, chosen.shape, chosen.rank, chosen.inner, chosen.groups].join(' ');
    let factors = fits.get(key);
    if (factors === undefined) {
      context.signal.throwIfAborted();
      const { problem: sampled } = await readProblem(context.path(keyOf(inspected, files.samples(index))));
      const problem = { ...sampled, ...(await readMetric(context, inspected, index)) };
      const options = {
        reconstruction: linear.reconstruction,
        maxIterations: 0,
        seed: method.seed,
        signal: context.signal,
      };
      factors = await solveLayer(engine, problem, chosen, options).then(
        (solved) => solved.factors,
        (error: unknown): Factors => {
          if (breakdownOf(error) === null) throw error;
          return { lowRank: null, sparse: null, bias: problem.bias };
        },
      );
      fits.set(key, factors);
    }
    solved.set(index, factors);
  }
  const quick = { ...assignment, spec: { ...assignment.spec, method: linear } };
  const dropped = droppedBranches(curves, tables, choice);
  const left = withoutDropped(network, dropped);
  const replacements = await refitInOrder(quick, context, left, { solved, dropped, errors: new Map() });
  const { threads, signal } = context;
  const answers = askedAnswers(assignment.spec);
  return qualityOf(network.original, rewrite(left.prepared, replacements), search, { threads, signal, answers });
}
