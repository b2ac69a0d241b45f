import { InputError } from '../../errors/index.js';
import {
  integerLayers,
  integerTensors,
  readyForIntegers,
  Runner,
  toIntegers,
  type Histogram,
  type Int8Weights,
  type IntegerOptions,
  type Model,
  type Range,
  type Tensor,
} from '../../models/index.js';
import { activationHistograms, type Calibration } from './activation-ranges.js';
import { isFaster, slowerWithIntegers } from './faster-integers.js';
import { inputMoments } from './input-moments.js';
import { batches } from '../network/network-pass.js';
import { OutputError } from '../network/compare/output-error.js';

/** Images that choices are compared on, and single layers. */
const IMAGES = 128;
const IMAGES_OF_A_LAYER = 32;

/**
 * Squared error of the outputs, relative to their variance, that integers may cost before layers go back to float32.
 */
const MOST_ERROR = 0.01;
/** A layer that goes back leaves so much of that error at most: each breaks a chain of integers in two. */
const WORTH_A_LAYER = 0.8;

/** Of the values of an activation. */
const MOST_VALUES = 0.9999;

/**
 * What may be the range of an activation: all that calibration saw, what loses least of it, or where most of it lies.
 */
const RANGES: ((histogram: Histogram) => Range | null)[] = [
  (histogram) => histogram.range,
  (histogram) => histogram.bestRange(),
  (histogram) => histogram.rangeOf(MOST_VALUES),
];

export interface IntegerContext {
  /** Of the inputs of layers: mean squares, and means. */
  energies: ReadonlyMap<string, Float32Array>;
  means?: ReadonlyMap<string, Float32Array>;
  /** What tensors that are looked at together may take. */
  bytes: number;
  threads: number;
  signal: AbortSignal;
  /** Batch sizes at which integers have to be faster than float32; absent: they need not be. */
  fasterAt?: { batches: readonly number[]; threads: number };
}

/** Integers for all layers, and how far they take the outputs from those without. */
interface Calibrated {
  options: IntegerOptions;
  /** Squared, relative to the variance of the outputs; infinite where nothing is integer. */
  error: number;
  /** The same of other options, over so many images. */
  errorOf: (options: IntegerOptions, images: number) => Promise<number>;
}

/** Of the ways to choose ranges the one that changes the outputs least. */
async function calibrated(float: Model, calibration: Calibration, context: IntegerContext): Promise<Calibrated> {
  const { energies, means, bytes, threads, signal } = context;
  const tensors = integerTensors(float);
  const histograms = await activationHistograms(float, tensors, calibration, { bytes, threads, signal });
  const outputs = await outputsOf(float, calibration, context);
  const coded = new Map<string, Int8Weights>();
  const kept = { energies, coded, ...(means === undefined ? {} : { means }) };
  const errorOf = async (options: IntegerOptions, images: number) =>
    outputError(toIntegers(float, options), calibration, { outputs, images }, context);
  let best: { options: IntegerOptions; error: number } = { options: { ranges: new Map(), ...kept }, error: Infinity };
  for (const choose of RANGES) {
    const ranges = new Map<string, Range>();
    for (const [name, histogram] of histograms) {
      const range = choose(histogram);
      if (range !== null) ranges.set(name, range);
    }
    const options = { ranges, ...kept };
    const error = await errorOf(options, IMAGES);
    if (error < best.error) best = { options, error };
  }
  return { ...best, errorOf };
}

/**
 * What integers alone change of a network's outputs on the calibration images: squared, relative to their variance.
 * Infinite where nothing of it can be integer, or its operators cannot be raised to the version that integers need.
 */
export async function integerError(
  network: Model,
  calibration: Calibration,
  context: Pick<IntegerContext, 'bytes' | 'threads' | 'signal'>,
): Promise<number> {
  const float = readyOrNull(network);
  if (float === null || integerTensors(float).length === 0) return Infinity;
  const moments = await inputMoments(float, calibration, context.threads, context.signal);
  const { error } = await calibrated(float, calibration, { ...context, ...moments });
  return error;
}

function readyOrNull(network: Model): Model | null {
  try {
    return readyForIntegers(network);
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}

/**
 * The network computing with 8-bit integers whose ranges come from the calibration images. Layers with which integers
 * are not faster stay float32, and where the outputs change much, those that cost most by themselves.
 *
 * @param float as `readyForIntegers` makes it
 */
export async function integerNetwork(float: Model, calibration: Calibration, context: IntegerContext): Promise<Model> {
  if (integerTensors(float).length === 0) return float;
  const { errorOf, ...found } = await calibrated(float, calibration, context);
  let best: Pick<Calibrated, 'options' | 'error'> = found;
  // Without ranges nothing is integer.
  const slower =
    best.error === Infinity ? new Set<string>() : await slowLayers(float, best.options, calibration, context);
  if (slower.size > 0) {
    const options = { ...best.options, leftFloat: slower };
    best = { options, error: best.error > MOST_ERROR ? await errorOf(options, IMAGES) : best.error };
  }
  if (!(best.error > MOST_ERROR)) return toIntegers(float, best.options);
  const costs: { name: string; error: number }[] = [];
  const all = integerLayers(float);
  const layers = all.filter((name) => !slower.has(name));
  for (const name of layers) {
    const leftFloat = new Set(all.filter((other) => other !== name));
    costs.push({ name, error: await errorOf({ ...best.options, leftFloat }, IMAGES_OF_A_LAYER) });
  }
  costs.sort((a, b) => b.error - a.error);
  const leftFloat = new Set<string>(slower);
  let enough = best.error;
  for (const { name } of costs) {
    leftFloat.add(name);
    enough *= WORTH_A_LAYER;
    const options = { ...best.options, leftFloat: new Set(leftFloat) };
    const error = await errorOf(options, IMAGES);
    if (error < enough) {
      best = { options, error };
      enough = error;
    }
    if (best.error <= MOST_ERROR || leftFloat.size - slower.size >= layers.length / 4) break;
  }
  const integers = toIntegers(float, best.options);
  // What goes back to float32 may take the gain of all others with it.
  const { fasterAt } = context;
  const keeps = fasterAt === undefined || (best.options.leftFloat?.size ?? 0) === slower.size;
  return keeps || (await isFaster(integers, float, calibration, { ...fasterAt, signal: context.signal }))
    ? integers
    : float;
}

async function slowLayers(
  float: Model,
  options: IntegerOptions,
  calibration: Calibration,
  { fasterAt, signal }: IntegerContext,
): Promise<Set<string>> {
  if (fasterAt === undefined) return new Set();
  return slowerWithIntegers(float, (leftFloat) => toIntegers(float, { ...options, leftFloat }), calibration, {
    ...fasterAt,
    signal,
  });
}

interface Outputs {
  begin: number;
  end: number;
  values: Map<string, Tensor>;
}

/** For as many images as fit into memory. */
async function outputsOf(model: Model, network: Calibration, context: IntegerContext): Promise<Outputs[]> {
  const { bytes, threads, signal } = context;
  const runner = await Runner.open(model, { threads });
  const found: Outputs[] = [];
  try {
    let size = 0;
    for (const { begin, end } of batches(Math.min(network.images, Math.max(IMAGES, network.batch)), network.batch)) {
      signal.throwIfAborted();
      const values = await runner.run(await network.calibration.batch(begin, end));
      for (const { data } of values.values()) size += data.byteLength;
      if (size > bytes && found.length > 0) break;
      found.push({ begin, end, values });
    }
    return found;
  } finally {
    await runner.release();
  }
}

/** Squared, relative to the variance of the outputs; infinite where one is no number. */
async function outputError(
  model: Model,
  network: Calibration,
  { outputs, images }: { outputs: readonly Outputs[]; images: number },
  { threads, signal }: IntegerContext,
): Promise<number> {
  const runner = await Runner.open(model, { threads });
  const error = new OutputError(network.parts);
  try {
    for (const { begin, end, values } of outputs) {
      if (begin > 0 && begin >= images) break;
      signal.throwIfAborted();
      const changed = await runner.run(await network.calibration.batch(begin, end));
      for (const [name, value] of values) {
        const other = changed.get(name);
        if (other !== undefined) error.add(name, value, other);
      }
    }
    return Number.isNaN(error.relative) ? Infinity : error.relative;
  } finally {
    await runner.release();
  }
}
