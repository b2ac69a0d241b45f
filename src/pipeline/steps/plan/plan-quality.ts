import { allocate, allocateThrifty, leastCost, solveLayer, type AllocationLayer } from '../../../compression/index.js';
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
import { finishedOne, keyOf as keyOfFile } from '../../files/finished.js';
import { readMetric, readProblem } from '../../files/layer-file.js';
import { files } from '../../files/step-files.js';
import { partOf, type StepContext } from '../../step.js';
import { droppedBranches } from './dropped.js';
import { effectOf, fastEnough, plansWithWholeLayers } from './never-slower.js';
import type { Chosen, LinearFit, NetworkPlan } from './plan-points.js';
import { leastTried } from './out-of-reach.js';
import { keyOf } from './search-speedup.js';
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
export async function planQuality(
  assignment: Assignment,
  context: StepContext,
  { curves, tables, shared }: NetworkPlan,
): Promise<Chosen> {
  const bounds = boundsOf(assignment.spec);
  const network = await openNetwork(context, assignment);
  const engine = await createEngine(context.engine, { threads: context.threads });
  const data = await openQualityData(assignment, network, context);
  try {
    const search = evenly(data.search, MOST_SEARCHED);
    if (bounds.max_accuracy_drop !== undefined && search.labels === null) throw needsLabels();
    const holds = async (choice: readonly number[], part: StepContext): Promise<boolean> => {
      const key = keyOf({ choice });
      let after = shared.qualities.get(key);
      if (after === undefined) {
        const trying = { network, curves, tables, choice, engine, fits: shared.fits, search };
        after = await trial(assignment, part, trying);
        shared.qualities.set(key, after);
      }
      return within(bounds, after);
    };
    const dense = tables.map(() => 0);
    let best = dense;
    const all = tables.reduce((sum, { candidates }) => sum + (candidates.find(isDense)?.parameters ?? 0), 0);
    let low = Math.log(leastTried({ least: leastCost(tables, 'parameters'), dense: all }));
    let high = Math.log(all);
    for (let round = 0; round < ROUNDS; round++) {
      const middle = (low + high) / 2;
      const choice = planned(tables, Math.exp(middle));
      const part = (SEARCH_SHARE * round) / ROUNDS;
      if (await holds(choice, partOf(context, part, part + SEARCH_SHARE / ROUNDS))) {
        best = choice;
        high = middle;
      } else low = middle;
    }
    const found =
      keyOf({ choice: best }) === keyOf({ choice: dense })
        ? { choice: best }
        : await notSlower(assignment, partOf(context, SEARCH_SHARE, 1), {
            curves,
            tables,
            best,
            budget: Math.exp(high),
            holds,
          });
    return {
      ...found,
      fallbacks: lessCompressed(tables.map(withBranch), found.choice, { from: high, to: Math.log(all) }),
    };
  } finally {
    await data.close();
    await engine.dispose();
    await network.close();
  }
}

/** As fast as that many parameters allow. */
const planned = (tables: readonly AllocationLayer[], budget: number): number[] =>
  allocateThrifty(
    tables,
    { cost: 'parameters', budget: Math.max(leastCost(tables, 'parameters'), budget) },
    'work',
    allowedForSpeed,
  );

/** Another plan with as few parameters where the best one is slower than the original, if it is within bounds as well. */
async function notSlower(
  assignment: Assignment,
  context: StepContext,
  {
    curves,
    tables,
    best,
    budget,
    holds,
  }: Pick<NetworkPlan, 'curves' | 'tables'> & {
    best: number[];
    budget: number;
    holds: (choice: readonly number[], part: StepContext) => Promise<boolean>;
  },
): Promise<Pick<Chosen, 'choice' | 'warnings'>> {
  const least = effectOf(tables, allocate(tables, { cost: 'parameters', budget }));
  const reaching = (some: readonly AllocationLayer[]) =>
    leastCost(some, 'parameters') > budget ? null : planned(some, budget);
  const plans = plansWithWholeLayers(tables, reaching, allowedForSpeed(least));
  const found = await fastEnough(assignment, partOf(context, 0, 0.5), { curves, tables, plans });
  const isBest = keyOf(found) === keyOf({ choice: best });
  return isBest || (await holds(found.choice, partOf(context, 0.5, 1))) ? found : { choice: best };
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
  for (let i = 1; i <= FALLBACKS; i++) {
    const budget = Math.exp(from + ((to - from) * i) / (FALLBACKS + 1));
    const choice = planned(tables, budget);
    plans.set(keyOf({ choice }), choice);
  }
  plans.delete(keyOf({ choice: best }));
  plans.delete(keyOf({ choice: tables.map(() => 0) }));
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
  fits: Map<string, LinearFit>;
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
  const leans = new Map<number, number>();
  for (const [i, { index }] of curves.layers.entries()) {
    const chosen = tables[i]?.candidates[choice[i] ?? 0];
    if (chosen === undefined || isDense(chosen) || chosen.dropped === true) continue;
    const key = [index, chosen.shape, chosen.rank, chosen.inner, chosen.groups].join(' ');
    let fit = fits.get(key);
    if (fit === undefined) {
      context.signal.throwIfAborted();
      const { problem: sampled } = await readProblem(context.path(keyOfFile(inspected, files.samples(index))));
      const problem = { ...sampled, ...(await readMetric(context, inspected, index)) };
      const options = {
        reconstruction: linear.reconstruction,
        maxIterations: 0,
        seed: method.seed,
        signal: context.signal,
      };
      fit = await solveLayer(engine, problem, chosen, options).catch((error: unknown): LinearFit => {
        if (breakdownOf(error) === null) throw error;
        return { factors: { lowRank: null, sparse: null, bias: problem.bias }, lean: 0 };
      });
      fits.set(key, fit);
    }
    solved.set(index, fit.factors);
    leans.set(index, fit.lean);
  }
  const quick = { ...assignment, spec: { ...assignment.spec, method: linear } };
  const dropped = droppedBranches(curves, tables, choice);
  const left = withoutDropped(network, dropped);
  const replacements = await refitInOrder(quick, context, left, { solved, dropped, leans, errors: new Map() });
  const { threads, signal } = context;
  const answers = askedAnswers(assignment.spec);
  return qualityOf(network.original, rewrite(left.prepared, replacements), search, { threads, signal, answers });
}
