import { targetsOf, writtenFormat } from '../../jobs/points.js';
import { USUAL_EFFORT, type Spec, type Target } from '../../jobs/spec.js';
import { targetOf, wishOf } from '../../jobs/targets.js';
import { PHASES, type ExpectedSeconds } from '../../jobs/tasks.js';
import { codingOf, formatOf, PLAIN_CODING, type ModelFormatName } from '../../models/index.js';
import { batchesInTensorflow, MOST_IN_TENSORFLOW } from './budgets.js';
import { affordablePasses, distillationBudget, distillationSeconds, FEWEST, HELD_OUT, seenInPass } from './effort.js';
import { DISTILLATION_PER_SECOND, WORK_PER_SECOND } from './rate.js';
import { passWork, probeWorks, solveTime, statisticsWork, type Counted } from './work.js';

/** Of a layer, whatever its size: sessions that are opened for its parts, files. */
const LAYER_SECONDS = { inspect: 0.3, layers: 0.1, assemble: 0.15 };
/** Reading and checking of files, in every step. */
const STEP_SECONDS = 0.5;
/** Of the speed, for every batch size and network. */
const LATENCY_SECONDS = 3.5;
/** Single layers, timed; all of them together at most so long. */
const LAYER_LATENCY_SECONDS = { each: 0.45, all: 11 };
/** The same in TensorFlow.js, on its backend wasm: one thread, 1e10 to 2.5e10 on four networks (one core of an AMD EPYC). */
const TENSORFLOW_WORK_PER_SECOND = 1e10;
/** Of that, the opening of sessions: what a network takes that is so fast that its runs take no time. */
const LATENCY_SESSIONS_SECONDS = 0.7;
/** Runs of a network, where they and not the time decide: of the speed of a slow one (the fewest, and the usual) and of a fast one, and of each trial of a plan. */
const RUNS = { fewest: 25, usual: 50, most: 420, trial: 18 };
/** Until the speed of a slow network is measured with the fewest runs. */
const MOST_LATENCY_SECONDS = 3 * LATENCY_SECONDS;
/** Whole networks that a plan for a speedup times. */
const TIMED_PLANS = { count: 6, seconds: 2 };
/** Of the check that a planned network is not slower, for every batch size. */
const CHECK_SECONDS = 2;
/** Trials of a plan that is made on the network itself; of a layer's fits, half are those of another trial. */
const TRIALS = { quality: 6, speedup: 1 } as const;
const NEW_FITS = 0.5;
/** Networks that are built where the outputs were asked to be so good: the planned one is often just not, on samples that its search did not see. */
const BUILT_FOR_QUALITY = 1.7;
/** The search for a speedup is made once more with integers. */
const INTEGER_TRIALS = 1;
/** Where the weights of a finished network may be coded: runs of it for ranges and errors, and what is timed. */
const CODING = { images: 1024, seconds: 20 } as const;
/**
 * What a compressed network has of the work of the original, before it is planned: at 2x, 4x and 16x parameters the sample networks have 1.5, 2.6
 * and 5.2 times less.
 */
const USUAL_WORK = 1 / 2;
const WORK_OF_SIZE = 0.6;
/** Relative error of the outputs before distillation. */
const USUAL_ERROR = 0.1;

export interface Expected {
  layers: readonly Counted[];
  images: number;
  samples: number;
  probes: { images: number; layerErrors: readonly number[]; tapErrors: readonly number[] };
  /** Work of the runs without branches; absent: none. */
  branches?: number;
  spec: Pick<Spec, 'method' | 'benchmark' | 'target' | 'targets' | 'output' | 'effort'>;
  /** Of the model that was sent. */
  format: ModelFormatName;
  /** Samples that the result is measured on. */
  measured: number;
  /** How long a counted second of work takes here, once that is known; default: 1. What waits for no work is the same everywhere. */
  pace?: number;
}

/** Seconds of the parts of the inspection: the pass over the images, then every layer, then the branches. */
export function expectedInspection({
  layers,
  images,
  samples,
  probes,
  branches = 0,
}: Omit<Expected, 'spec' | 'measured' | 'format'>): {
  capture: number;
  layers: number[];
  branches: number;
} {
  const behind = probeWorks(layers, probes);
  const own = layers.map((layer, i) => {
    if (layer.blocked !== null) return 0;
    const n = Math.min(samples, images * layer.positions);
    const work = statisticsWork(layer, n) + probes.images * (behind[i] ?? 0);
    return LAYER_SECONDS.inspect + work / WORK_PER_SECOND;
  });
  return {
    capture: STEP_SECONDS + (images * passWork(layers)) / WORK_PER_SECOND,
    layers: own,
    branches: branches / WORK_PER_SECOND,
  };
}

/**
 * Seconds of every phase of a job. From them come the shares of the shown progress, and so what is expected to be left: known before
 * anything is computed, and again by the pace of the inspection. An effort in seconds is for all of them: what the rest leaves of it is for the distillation.
 */
export function expectedSeconds(expected: Expected): ExpectedSeconds {
  const targets = targetsOf(expected.spec);
  const rest = withoutDistillation(expected);
  const allowed = distillationAllowed(expected);
  const distillation = targets.reduce(
    (sum, target, i) => sum + usualDistillation(expected, target, allowed[i] ?? 0),
    0,
  );
  const seconds = (expected.pace ?? 1) * distillation;
  return { ...rest, assemble: rest.assemble + seconds, distillation: seconds };
}

/** Seconds that the effort leaves for the distillation of each target. */
export function distillationAllowed(expected: Expected): number[] {
  const { spec } = expected;
  const { effort = USUAL_EFFORT } = spec;
  const targets = targetsOf(spec);
  // Counted, so that a job affords the same on every machine.
  const restOf = (own: Expected['spec']) => {
    const rest = withoutDistillation({ ...expected, spec: own, pace: 1 });
    return PHASES.reduce((sum, phase) => sum + rest[phase], 0);
  };
  if (typeof effort === 'number') return targets.map(() => distillationSeconds(effort, restOf(spec)) / targets.length);
  // Every target may have what it would have alone.
  const { targets: _, ...alone } = spec;
  return targets.map((target) => distillationSeconds(effort, restOf({ ...alone, target })));
}

/** Of one target. How near networks turn out, and whether they are distilled, is known only when they are there. */
function usualDistillation({ layers, images, spec }: Expected, target: Target, seconds: number): number {
  const { effort = USUAL_EFFORT, method } = spec;
  const samples = images - Math.floor(images / HELD_OUT);
  const work = (1 + 3 * usualWork(target)) * passWork(layers);
  // The little that is tried with little effort is for networks that have lost much; one that may lose so much will have.
  const { name, asked } = wishOf(target);
  const error = name === 'max_relative_error' ? asked : USUAL_ERROR;
  const usual = () => affordablePasses(distillationBudget(effort, seconds), { work, samples, error });
  const passes = images < FEWEST ? 0 : (method.distillation_passes ?? usual());
  return (passes * seenInPass(samples) * work) / DISTILLATION_PER_SECOND;
}

function usualWork(target: Target): number {
  const { name, asked } = wishOf(target);
  const { cost } = targetOf(name);
  if (cost === 'macs' || name === 'speedup') return 1 / asked;
  return cost === null ? USUAL_WORK : asked ** -WORK_OF_SIZE;
}

function withoutDistillation(expected: Expected): Omit<ExpectedSeconds, 'distillation'> {
  const { layers, images, samples, spec, measured, pace = 1 } = expected;
  const inspection = expectedInspection(expected);
  const perSecond = WORK_PER_SECOND / pace;
  const points = targetsOf(spec);
  const open = layers.filter(({ blocked }) => blocked === null);
  const pass = (images * passWork(layers)) / perSecond;
  const fitsWith = (iterations: number) =>
    open.reduce((sum, layer) => sum + solveTime(layer, Math.min(samples, images * layer.positions), iterations), 0) /
    perSecond;
  const fits = fitsWith(spec.method.max_iterations);
  const inOrder = 2 * pass + pace * LAYER_SECONDS.assemble * open.length;
  const refit = inOrder + fits;
  const compare = (measured * passWork(layers)) / perSecond;
  const { for_speedup: forSpeedup, for_quality: forQuality, coding } = spec.method.weights;
  const wishes = points.map(wishOf);
  const speedups = wishes.filter(({ name }) => name === 'speedup').length;
  const kinds = wishes.map(({ name }) => targetOf(name));
  const qualities = kinds.filter(({ quality }) => quality).length;
  const trial = {
    quality: inOrder + (1 + NEW_FITS) * fitsWith(0) + compare,
    speedup: open.length + refit + compare,
  };
  const trials =
    qualities * TRIALS.quality * trial.quality +
    speedups * (TRIALS.speedup + (forSpeedup === undefined ? 0 : INTEGER_TRIALS)) * trial.speedup;
  const coded = coding === PLAIN_CODING ? (forQuality === undefined ? 0 : qualities) : points.length;
  const { integers, weighted } = codingOf(coding);
  const isOpen = coding === PLAIN_CODING;
  const ranges = isOpen || integers || weighted ? Math.min(images, CODING.images) * passWork(layers) : 0;
  // What computes with integers is timed.
  const oneCoding = (isOpen || integers ? CODING.seconds : 0) + ranges / perSecond;
  const built = points.length + (BUILT_FOR_QUALITY - 1) * qualities;
  const tensorflow = expectedInTensorflow(expected, wishes);
  // What TensorFlow.js makes of a plan is not checked beforehand.
  const checks =
    spec.benchmark.runtime === 'tensorflowjs'
      ? 0
      : kinds.filter(({ cost, quality }) => cost !== null || quality).length;
  const timed = Math.min(LAYER_LATENCY_SECONDS.all, LAYER_LATENCY_SECONDS.each * open.length);
  // A network that was asked to have coded weights is measured beside itself with float32 weights.
  const networks = 1 + points.length + coded;
  const one = passWork(layers) / perSecond;
  const latency = spec.benchmark.batch_sizes.reduce((sum, batch) => sum + latencySeconds(batch * one), 0);
  return {
    inspect:
      pace * (inspection.capture + inspection.branches + inspection.layers.reduce((sum, seconds) => sum + seconds, 0)),
    plan: STEP_SECONDS + trials + tensorflow.plan + checks * CHECK_SECONDS * spec.benchmark.batch_sizes.length,
    layers: points.length * (fits + pace * LAYER_SECONDS.layers * open.length),
    assemble: points.length * STEP_SECONDS + built * refit + coded * oneCoding,
    evaluate: STEP_SECONDS + networks * (compare + latency) + tensorflow.evaluate + timed,
  };
}

/** Of a network of which a run takes so long, at one batch size. */
function latencySeconds(run: number): number {
  if (RUNS.most * run < LATENCY_SECONDS) return Math.min(LATENCY_SECONDS, LATENCY_SESSIONS_SECONDS + RUNS.most * run);
  return Math.min(Math.max(LATENCY_SECONDS, RUNS.usual * run), Math.max(MOST_LATENCY_SECONDS, RUNS.fewest * run));
}

/** What is added where the compressed networks are for TensorFlow.js, and run in it. */
function expectedInTensorflow(
  { layers, spec, format, measured, pace = 1 }: Expected,
  wishes: readonly ReturnType<typeof wishOf>[],
): { plan: number; evaluate: number } {
  if (formatOf(writtenFormat(spec, format)).tensorflow !== true) return { plan: 0, evaluate: 0 };
  const pass = (pace * passWork(layers)) / TENSORFLOW_WORK_PER_SECOND;
  const timed = batchesInTensorflow(spec.benchmark).map((batch) => latencySeconds(batch * pass));
  const compared = Math.min(measured, MOST_IN_TENSORFLOW) * pass;
  const speedups = spec.benchmark.runtime === 'tensorflowjs' ? wishes.filter(({ name }) => name === 'speedup') : [];
  const [batch = 1] = spec.benchmark.batch_sizes;
  const plan = Math.max(TIMED_PLANS.seconds, 2 * RUNS.trial * batch * pass);
  return {
    plan: speedups.length * TIMED_PLANS.count * plan,
    evaluate: (wishes.length + 1) * (compared + timed.reduce((sum, seconds) => sum + seconds, 0)),
  };
}
