import { join } from 'node:path';
import type { AllocationLayer } from '../../../compression/index.js';
import type { Assignment } from '../../../jobs/tasks.js';
import { writtenFormat } from '../../../jobs/points.js';
import {
  codingOf,
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
import { repeatRows } from '../../network/batch.js';
import { candidateLatencies } from '../../latency/candidate-latency.js';
import type { Curves } from '../../curves/curves.js';
import { inputOf } from '../../latency/layer-latency.js';
import type { TimedRunner } from '../../latency/network-latency.js';
import { measureInTurn, measurePaired, quantile, speedup } from '../../latency/latency.js';
import { openNetwork, type Network } from '../../network/network.js';
import { originalInTensorflow } from '../../network/original-in-tensorflow.js';
import { networkOf } from './never-slower.js';
import { outOfReach, type Chosen, type NetworkPlan } from './plan-points.js';
import type { StepContext } from '../../step.js';
import { denseCost, nearest, searchSpeedup, type Tried } from './search-speedup.js';

/** The plan aims this much above what was asked: the verdict is measured once more, later. */
const MARGIN = 1.03;
/** Share of a network's time that its layers do not explain: 5 to 10 % on VGG-16. */
const UNEXPLAINED = 0.08;
/** Of a network with integers, over that without. */
const CLEARLY_FASTER = 1.05;
const WHOLE = { warmup: 3, minRuns: 15, maxRuns: 100, budgetSeconds: 2 };

/**
 * Distributes a speedup over the layers. What a layer takes alone on this machine's runtime, and the estimate of its work, are
 * both only models of its share of the network's time, one noisy, the other blind for this machine. So plans are made
 * with each, every plan is built and timed whole, the budget is corrected by that, and of the plans that reach
 * the speedup the one with the least effect on the outputs is taken; where none does, the fastest. Times count at the first
 * batch size of the benchmark.
 */
export async function planSpeedup(
  assignment: Assignment,
  context: StepContext,
  { curves, tables, asked, shared }: NetworkPlan,
): Promise<Chosen> {
  const { spec } = assignment;
  const network = await openNetwork(context, assignment);
  try {
    const threads = spec.benchmark.threads ?? context.threads;
    const batch = network.fixedBatch ?? spec.benchmark.batch_sizes[0] ?? 1;
    const images = await repeatRows(network.calibration, batch);
    const format = writtenFormat(spec, network.original.format);
    const integers = spec.benchmark.runtime !== 'tensorflowjs' && codingOf(spec.method.weights.coding).integers;
    const open =
      spec.benchmark.runtime === 'tensorflowjs'
        ? (model: Model) => openWritten(inFormat(model, format), context)
        : (model: Model) => Runner.open(model, { threads });
    const original =
      spec.benchmark.runtime === 'tensorflowjs'
        ? await openOriginal(assignment, network, format, context)
        : await Runner.open(network.original, { threads });
    try {
      const run = { ...WHOLE, signal: context.signal };
      const first = await measureInTurn([() => original.run(images)], run);
      const dense = tables.map(({ candidates }) => candidates.findIndex(isDense));
      // The network as it came is as fast as itself, and loses nothing; with integers it may be enough.
      const ofDense = { curves, tables, choice: dense, original, images, open, integers };
      const whole = integers ? await measured(network.prepared, ofDense, context) : 1;
      const goal = asked * MARGIN;
      if (whole >= goal) return { choice: dense };
      const tried: Tried[] = [{ choice: dense, ratio: whole }];
      // Where integers make nothing faster, layers will hardly have them.
      const ofLayers = { curves, tables, images, threads, integers: whole > CLEARLY_FASTER };
      const alone = (shared.timed ??= await timedTables(network, ofLayers, context));
      const timed = scaled(alone, quantile(first[0] ?? [], 0.5));
      const measure = async (choice: readonly number[]) => {
        const plan = { curves, tables: timed, choice, original, images, open, integers };
        const ratio = await measured(network.prepared, plan, context);
        tried.push({ choice: [...choice], ratio });
        return ratio;
      };
      for (const [i, cost] of (['latency', 'work'] as const).entries()) {
        await searchSpeedup(timed, { cost, goal, whole }, measure, (share) => context.progress(0.5 + (i + share) / 4));
      }
      const effect = ({ choice }: Tried): number =>
        timed.reduce((sum, { candidates, weight }, l) => sum + weight * (candidates[choice[l] ?? 0]?.error ?? 0), 0);
      const { choice, reached, most } = nearest(tried, asked, effect);
      if (reached) return { choice };
      const cause = `a speedup of ${asked.toFixed(2)} at batch ${String(batch)} cannot be reached on this worker: the most that was measured is ${most.toFixed(2)}`;
      return { choice, warnings: [outOfReach(cause)] };
    } finally {
      await original.release();
    }
  } finally {
    await network.close();
  }
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

async function timedTables(
  network: Network,
  {
    curves,
    tables,
    images,
    threads,
    integers,
  }: { curves: Curves; tables: readonly AllocationLayer[]; images: Samples; threads: number; integers: boolean },
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

/** The speedup of a network with factors of the chosen sizes, with integers where it is asked for and faster with them. */
async function measured(
  model: Model,
  {
    curves,
    tables,
    choice,
    original,
    images,
    open,
    integers,
  }: {
    curves: Curves;
    tables: readonly AllocationLayer[];
    choice: readonly number[];
    original: TimedRunner;
    images: Samples;
    open: (model: Model) => Promise<TimedRunner>;
    integers: boolean;
  },
  context: StepContext,
): Promise<number> {
  const float = networkOf(model, { curves, tables, choice });
  const ratios: number[] = [];
  for (const way of integers ? [float, placeholderIntegers(float)] : [float]) {
    const candidate = await open(way);
    try {
      const run = { ...WHOLE, signal: context.signal };
      const pairs = await measurePaired(
        () => original.run(images),
        () => candidate.run(images),
        run,
      );
      ratios.push(speedup(pairs).ratio);
    } finally {
      await candidate.release();
    }
  }
  return Math.max(...ratios);
}
