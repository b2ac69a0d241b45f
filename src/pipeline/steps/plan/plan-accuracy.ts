import { allocateThrifty, solveLayer, type AllocationLayer } from '../../../compression/index.js';
import { createEngine, type Engine } from '../../../engines/index.js';
import { InputError } from '../../../errors/index.js';
import type { Assignment } from '../../../jobs/tasks.js';
import { rewrite, type Factors } from '../../../models/index.js';
import { accuracyOf } from '../../network/compare.js';
import type { Curves } from '../../curves/curves.js';
import { finishedOne, keyOf } from '../../files/finished.js';
import { readMetric, readProblem } from '../../files/layer-file.js';
import { openSamples, openNetwork, type Network } from '../../network/network.js';
import { breakdownOf } from '../../network/breakdown.js';
import type { NetworkPlan } from './plan-points.js';
import { refitInOrder } from '../../network/refit.js';
import { files } from '../../files/step-files.js';
import type { StepContext } from '../../step.js';
import { allowedForSpeed } from './thrift.js';

/** Networks that are built and evaluated; each halves the range of the parameter count on a logarithmic scale. */
const ROUNDS = 6;

/**
 * The smallest network whose accuracy falls by at most `drop`, by bisection over the parameter budget. Every trial is a real
 * network, evaluated on all evaluation data: its layers are fitted linearly on the samples that inspect took (a fit that two
 * trials share is made once) and refitted in order. The job's own fit, after the activation, is better still.
 *
 * @returns the index of the chosen candidate for every layer of `curves`
 */
export async function planAccuracy(
  assignment: Assignment,
  context: StepContext,
  { curves, tables, asked: drop, shared }: NetworkPlan,
): Promise<number[]> {
  const { inputs } = assignment;
  if (inputs.evaluation === null) throw needsLabels();
  const network = await openNetwork(context, assignment);
  const evaluation = await openSamples(context, network.original, inputs.evaluation.key, 'evaluation');
  const engine = await createEngine(context.engine, { threads: context.threads });
  try {
    const before = await accuracyOf(network.original, evaluation, context);
    if (before === null) throw needsLabels();
    let best = tables.map(() => 0);
    let low = Math.log(sum(tables, (costs) => Math.min(...costs)));
    let high = Math.log(sum(tables, (costs) => Math.max(...costs)));
    for (let round = 0; round < ROUNDS; round++) {
      const middle = (low + high) / 2;
      const choice = allocateThrifty(tables, { cost: 'parameters', budget: Math.exp(middle) }, 'work', allowedForSpeed);
      const key = choice.join(' ');
      let after = shared.accuracies.get(key);
      if (after === undefined) {
        after = await trial(assignment, context, {
          network,
          curves,
          tables,
          choice,
          engine,
          fits: shared.fits,
          evaluate: async (model) => accuracyOf(model, evaluation, context),
        });
        shared.accuracies.set(key, after);
      }
      // 1e-9: counts of samples are compared as shares.
      if (after !== null && before - after <= drop + 1e-9) {
        best = choice;
        high = middle;
      } else low = middle;
      context.progress((round + 1) / ROUNDS);
    }
    return best;
  } finally {
    await engine.dispose();
    await evaluation.close();
    await network.close();
  }
}

const sum = (tables: readonly AllocationLayer[], pick: (costs: number[]) => number): number =>
  tables.reduce((total, { candidates }) => total + pick(candidates.map(({ parameters }) => parameters)), 0);

export function needsLabels(): InputError {
  const detail = 'max_accuracy_drop needs evaluation data with labels (x and y)';
  return new InputError('invalid_spec', detail, { faults: [{ pointer: '/evaluation', detail }] });
}

async function trial(
  assignment: Assignment,
  context: StepContext,
  {
    network,
    curves,
    tables,
    choice,
    engine,
    fits,
    evaluate,
  }: {
    network: Network;
    curves: Curves;
    tables: readonly AllocationLayer[];
    choice: readonly number[];
    engine: Engine;
    fits: Map<string, Factors>;
    evaluate: (model: Network['prepared']) => Promise<number | null>;
  },
): Promise<number | null> {
  const { method } = assignment.spec;
  const linear = { ...method, reconstruction: 'linear' as const, max_iterations: 0, inputs: 'refit' as const };
  const inspected = finishedOne(assignment, 'inspect');
  const solved = new Map<number, Factors>();
  for (const [i, { index }] of curves.layers.entries()) {
    const chosen = tables[i]?.candidates[choice[i] ?? 0];
    if (chosen === undefined || (chosen.rank === 0 && chosen.groups === 0)) continue;
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
  const replacements = await refitInOrder(quick, context, network, { solved, errors: new Map() });
  return evaluate(rewrite(network.prepared, replacements));
}
