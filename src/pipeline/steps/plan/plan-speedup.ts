import { join } from 'node:path';
import type { AllocationLayer } from '../../../compression/index.js';
import type { Assignment } from '../../../jobs/tasks.js';
import { writtenFormat } from '../../../jobs/points.js';
import {
  codingOf,
  formatOf,
  inFormat,
  isDense,
  placeholderIntegers,
  Runner,
  saveModel,
  TensorflowRunner,
  type Model,
  usesOf,
  type Samples,
  type Tensor,
} from '../../../models/index.js';
import { activationBytes } from '../../integers/activation-ranges.js';
import { integerError } from '../../integers/integer-network.js';
import { repeatRows } from '../../network/batch.js';
import { candidateLatencies } from '../../latency/candidate-latency.js';
import { inputOf } from '../../latency/layer-latency.js';
import { blocksInTurn, type TimedRunner } from '../../latency/network-latency.js';
import { speedupOfBlocks } from '../../latency/block-interval.js';
import { measureInTurn, measurePaired, quantile, speedup } from '../../latency/latency.js';
import { openNetwork, type Network } from '../../network/network.js';
import { originalInTensorflow } from '../../network/original-in-tensorflow.js';
import { effectOf, networkOf } from './never-slower.js';
import { outOfReach } from './out-of-reach.js';
import type { Chosen, NetworkPlan } from './plan-points.js';
import { partOf, type StepContext } from '../../step.js';
import {
  CLEARLY_FASTER,
  confirmed,
  denseCost,
  isBetter,
  isLimited,
  keyOf,
  searchSpeedup,
  usefulPlan,
  type Found,
  type Speed,
  type Tried,
} from './search-speedup.js';

/** The plan aims this much above what was asked: the verdict is measured once more, later. */
const MARGIN = 1.03;
/** Share of a network's time that its layers do not explain: 5 to 10 % on VGG-16. */
const UNEXPLAINED = 0.08;
/** A plan that loses so little has nothing to gain from integers. */
const UNSEEN = 1e-3;
const WHOLE = { warmup: 3, minRuns: 15, maxRuns: 100, budgetSeconds: 2 };
/** Of a plan that is about to be taken. */
const AGAIN = { blocks: 6, fewest: 4, seconds: 1.5 };

/**
 * Distributes a speedup over the layers. What a layer takes alone on this machine's runtime, and the estimate of its work, are
 * both only models of its share of the network's time, one noisy, the other blind for this machine. So plans are made
 * with each, every plan is built and timed whole, the budget is corrected by that, and of the plans that reach
 * the speedup the one with the least effect on the outputs is taken; where none does, the fastest. Times count at the first
 * batch size of the benchmark.
 *
 * Where the plan may choose how weights are kept, the same is tried with 8-bit integers, and they are taken where they
 * and what is compressed beside them change the outputs less.
 */
export async function planSpeedup(assignment: Assignment, context: StepContext, plan: NetworkPlan): Promise<Chosen> {
  const { spec } = assignment;
  const network = await openNetwork(context, assignment);
  try {
    const threads = spec.benchmark.threads ?? context.threads;
    const batch = network.fixedBatch ?? spec.benchmark.batch_sizes[0] ?? 1;
    const given = await repeatRows(network.calibration, batch);
    const format = writtenFormat(spec, network.original.format);
    const inTensorflow = spec.benchmark.runtime === 'tensorflowjs';
    const open = inTensorflow
      ? (model: Model) => openWritten(inFormat(model, format), context)
      : (model: Model) => Runner.open(model, { threads });
    const original = inTensorflow
      ? await openOriginal(assignment, network, format, context)
      : await Runner.open(network.original, { threads });
    try {
      const images = original.typed(given);
      const first = await measureInTurn([() => original.run(images)], { ...WHOLE, signal: context.signal });
      const setup = {
        ...plan,
        network,
        images,
        threads,
        open,
        original,
        inTensorflow,
        quiet: quantile(first[0] ?? [], 0.5),
      };
      const { coding: sent, for_speedup: other } = spec.method.weights;
      const left = other !== undefined && !inTensorflow && formatOf(format).codings === undefined;
      const found = await search(
        setup,
        codingOf(sent).integers && !inTensorflow,
        left ? partOf(context, 0, 0.5) : context,
      );
      const integers = left ? await betterIntegers(setup, found, partOf(context, 0.5, 1)) : null;
      const best = integers ?? found;
      const { choice, reached, most } = best;
      const coding: Pick<Chosen, 'coding'> =
        integers?.integers === true && other !== undefined ? { coding: other } : {};
      if (reached) return { choice, ...coding };
      const cause = `a speedup of ${plan.asked.toFixed(2)} at batch ${String(batch)} cannot be reached on this worker: the most that was measured is ${most.toFixed(2)}`;
      return { choice, ...coding, warnings: [outOfReach(cause, spec, isLimited(best))] };
    } finally {
      await original.release();
    }
  } finally {
    await network.close();
  }
}

/** What plans for a speedup are made of, and timed with. */
interface Setup extends NetworkPlan {
  network: Network;
  images: Samples;
  threads: number;
  open: (model: Model) => Promise<TimedRunner>;
  original: TimedRunner;
  inTensorflow: boolean;
  /** Milliseconds of the original. */
  quiet: number;
}

async function search(setup: Setup, integers: boolean, context: StepContext): Promise<Found> {
  const { tables, shared, asked, quiet } = setup;
  const dense = tables.map(({ candidates }) => candidates.findIndex(isDense));
  // The network as it came is as fast as itself, and loses nothing; with integers it may be enough.
  const asSent: Speed = integers
    ? await measured(setup, { tables, choice: dense, integers }, context.signal)
    : { ratio: 1 };
  const { ratio: whole } = asSent;
  const goal = asked * MARGIN;
  if (whole >= goal) return { choice: dense, reached: true, most: whole, ...asSent, effect: 0, whole };
  // Where integers make nothing faster, layers will hardly have them.
  const way = whole > CLEARLY_FASTER ? 'integers' : 'float32';
  const known = shared.timed.get(way);
  const alone = known === undefined ? await timedTables(setup, way === 'integers', context) : withTimes(tables, known);
  shared.timed.set(way, alone);
  const timed = scaled(alone, quiet);
  const tried: Tried[] = [{ choice: dense, ...asSent }];
  const measure = async (choice: readonly number[]) => {
    const speed = await measured(setup, { tables: timed, choice, integers }, context.signal);
    tried.push({ choice: [...choice], ...speed });
    return speed.ratio;
  };
  for (const [i, cost] of (['latency', 'work'] as const).entries()) {
    await searchSpeedup(timed, { cost, goal, whole }, measure, (share) => context.progress(0.5 + (i + share) / 4));
  }
  if (tried.every(({ ratio }) => ratio < asked))
    for (const cost of ['latency', 'work'] as const) {
      const choice = usefulPlan(timed, cost, (one) => effectOf(timed, one));
      if (!tried.some((plan) => keyOf(plan) === keyOf({ choice }))) await measure(choice);
    }
  const effect = ({ choice }: Tried) => effectOf(timed, choice);
  const again = ({ choice }: Tried) => measuredInBlocks(setup, { tables: timed, choice, integers }, context.signal);
  const best = await confirmed(tried, { asked, goal }, effect, again);
  return { ...best, effect: effectOf(timed, best.choice), whole };
}

/** The best plan of a search with integers, where it changes the outputs less than one without, or is the only one that is fast enough. */
async function betterIntegers(setup: Setup, float: Found, context: StepContext): Promise<Found | null> {
  const { network, shared, threads } = setup;
  if (float.reached && float.effect <= UNSEEN) return null;
  const calibrated = { bytes: activationBytes(context.limits), threads, signal: context.signal };
  const lost = (shared.integerError ??= await integerError(network.prepared, network, calibrated));
  if (lost === Infinity || (float.reached && lost >= float.effect)) return null;
  const integers = await search(setup, true, context);
  return isBetter(integers, float, lost) ? integers : null;
}

/**
 * Layers were timed alone, in turn with many others: only their relation counts. Together they take what the network takes,
 * but for the share of the operators between them.
 */
function scaled(tables: readonly AllocationLayer[], whole: number): AllocationLayer[] {
  const factor = ((1 - UNEXPLAINED) * whole) / Math.max(denseCost(tables, 'latency'), Number.MIN_VALUE);
  return tables.map((table) => ({
    ...table,
    candidates: table.candidates.map((c) => {
      const latency = factor * (c.latency ?? Infinity);
      const { outputs } = c;
      // What goes with the outputs, by the share that it has of the work.
      return outputs === undefined
        ? { ...c, latency }
        : { ...c, latency, outputs: { ...outputs, latency: latency * (outputs.work / Math.max(c.work, 1)) } };
    }),
  }));
}

/** With the times that were measured for another target; effects differ between targets. */
const withTimes = (tables: readonly AllocationLayer[], timed: readonly AllocationLayer[]): AllocationLayer[] =>
  tables.map((table, i) => ({
    ...table,
    candidates: table.candidates.map((c, k) => ({ ...c, latency: timed[i]?.candidates[k]?.latency ?? Infinity })),
  }));

async function timedTables(
  { network, curves, tables, images, threads }: Setup,
  integers: boolean,
  context: StepContext,
): Promise<AllocationLayer[]> {
  const result: AllocationLayer[] = [];
  for (const [i, { layer }] of curves.layers.entries()) {
    const table = tables[i];
    if (table === undefined) throw new RangeError(`no candidates for ${layer.name}`);
    // One layer at a time: all inputs of a large batch may not fit the memory.
    const inputs = new Map<string, Tensor>();
    for (const { input } of usesOf(layer)) inputs.set(input, await inputOf(network.prepared, input, images, threads));
    const options = { threads, signal: context.signal, integers };
    const latencies = await candidateLatencies(
      network.prepared,
      layer,
      { candidates: table.candidates, inputs },
      options,
    );
    result.push({
      ...table,
      candidates: table.candidates.map((candidate, k) => ({ ...candidate, latency: latencies[k] ?? Infinity })),
    });
    context.progress((0.5 * (i + 1)) / curves.layers.length);
  }
  return result;
}

/** A network in TensorFlow.js, by way of the files that its users get. */
async function openWritten(model: Model, { directory, limits, signal }: StepContext): Promise<TimedRunner> {
  const path = join(directory, 'timed.zip');
  await saveModel(model, path);
  return TensorflowRunner.open(model, path, { directory, limits, signal });
}

/** The original in TensorFlow.js, by way of the same file as in the verdict. */
async function openOriginal(
  { inputs }: Assignment,
  { original, prepared }: Network,
  format: Model['format'],
  context: StepContext,
): Promise<TimedRunner> {
  const { directory, limits, signal } = context;
  const sent = { model: original, prepared, path: context.path(inputs.model.key) };
  const path = await originalInTensorflow(sent, format, { directory: join(directory, 'tensorflow'), limits, signal });
  return TensorflowRunner.open(original, path, { directory, limits, signal });
}

/** A plan as it is timed. */
interface TimedChoice {
  tables: readonly AllocationLayer[];
  choice: readonly number[];
  integers: boolean;
}

/** Networks with factors of the chosen sizes: in float32, and with integers where they are asked for. */
function waysOf({ network, curves }: Setup, { integers, ...plan }: TimedChoice): Model[] {
  const float = networkOf(network.prepared, { curves, ...plan });
  return integers ? [float, placeholderIntegers(float)] : [float];
}

/** The same as `measured`, over sessions that are opened anew; what TensorFlow.js does with a network is timed as before. */
async function measuredInBlocks(setup: Setup, plan: TimedChoice, signal: AbortSignal): Promise<Speed> {
  if (setup.inTensorflow) return measured(setup, plan, signal);
  const { network, images, open } = setup;
  const ways = waysOf(setup, plan);
  const progress = () => undefined;
  const [blocks = []] = await blocksInTurn([network.original, ...ways], [images], { ...AGAIN, open, signal, progress });
  const ratios = ways.map((_, i) => {
    return speedupOfBlocks(blocks.map((times) => ({ before: times[0] ?? [], after: times[i + 1] ?? [] }))).ratio;
  });
  return fasterOf(ratios);
}

/** Of the speedups in float32 and with integers, where those were asked for. */
function fasterOf([float = NaN, integers]: readonly number[]): Speed {
  if (integers === undefined) return { ratio: float };
  return { ratio: Math.max(float, integers), integers: integers > float };
}

/** The speedup of a network with factors of the chosen sizes; with integers, where they are asked for and faster. */
async function measured(setup: Setup, plan: TimedChoice, signal: AbortSignal): Promise<Speed> {
  const { original, images, open } = setup;
  const ratios: number[] = [];
  for (const way of waysOf(setup, plan)) {
    const candidate = await open(way);
    try {
      const pairs = await measurePaired(
        () => original.run(images),
        () => candidate.run(images),
        { ...WHOLE, signal },
      );
      ratios.push(speedup(pairs).ratio);
    } finally {
      await candidate.release();
    }
  }
  return fasterOf(ratios);
}
