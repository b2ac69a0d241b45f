import { mapSamples, sliceRows, type Dataset } from '../../../datasets/index.js';
import { InputError } from '../../../errors/index.js';
import type { Distillation, WhyNotDistilled } from '../../../jobs/tasks.js';
import {
  extract,
  inputNames,
  listLayers,
  portsOf,
  Runner,
  TrainableNetwork,
  usesOf,
  wholeInputs,
  type Model,
  type Pull,
  type Samples,
} from '../../../models/index.js';
import { gatherRows } from '../../network/batch.js';
import { outputsToPull } from './distill-losses.js';
import { NO_VARIATION, Teacher } from './teacher.js';
import { affordableMatrices, type Optimizer } from './optimizer.js';
import { factorsOf, type Trained } from './trained.js';
import { batchWithin, mapBytes } from '../../network/feature-maps.js';
import type { Network } from '../../network/network.js';
import { OutputError } from '../../network/compare/output-error.js';
import {
  affordablePasses,
  FEWEST,
  HELD_OUT,
  sizeOfStep,
  STEP,
  stepsOfPass,
  type DistillationBudget,
} from '../../cost/effort.js';
import { passWork } from '../../cost/work.js';
import { seededRandom } from '../../network/random.js';
import { varied, type Variation } from './variations.js';
import type { StepContext } from '../../step.js';

/** Apart from the generators of the other steps. */
const STREAM = 0xd157;
/** Of where held-out samples are moved to. */
const MOVED = 1;
/** Fewer held-out samples are moved to several places each. */
const FEW_HELD = 64;
/** Samples that tell which variations suit them. */
const LOOKED_AT = 256;
/**
 * Step at the highest rate, relative to the root mean square of a layer's weights: over the samples as they are, and
 * over varied ones.
 */
const RATE = { plain: 0.01, varied: 0.02 };
/**
 * Below this relative error of the outputs the rate falls with its square: nearer networks are spoilt by large steps.
 */
const FULL_RATE_ERROR = 0.2;
/** Fewer steps are smaller in proportion: the first ones at a high rate make a network worse, and are not made up for. */
const FULL_RATE_STEPS = 400;
/** Over few samples that nothing varies; more passes learn them by heart. */
const MOST_PLAIN_PASSES = 100;
/** Share of the steps over which the rate rises. */
const WARM_UP = 0.1;
/** Feature maps of original and compressed network and their derivatives, in units of the original's. */
const MAPS_HELD = 4;
/**
 * Of these, what caches still help with: VGG-16 at 16x takes 2.1 ms of a sample with 16 at a time (70 MB), 2.8 with 32; ResNet-20 1.1 with 16 and
 * 1.0 with 32 (100 MB). Fewer than four at a time cost more than they save.
 */
const CACHED_BYTES = 105e6;
const FEW = 4;

export interface Setting {
  /** null: as many as the budget affords. */
  passes: number | null;
  budget: DistillationBudget;
  seed: number;
  /** What is changed; absent: all weights that compression made. */
  trained?: Trained;
}

/** A network whose weights were changed together, or why none were; null where nobody asked for it. */
export type Distilled =
  { model: Model; report: Distillation; why?: undefined } | { model: null; report: null; why: WhyNotDistilled | null };

const left = (why: WhyNotDistilled | null): Distilled => ({ model: null, report: null, why });

/**
 * Knowledge distillation without labels (Hinton et al. 2015, arXiv 1503.02531, with feature maps as in Romero et al.
 * 2015, arXiv 1412.6550): all weights that compression made are changed together, so that outputs and inner feature
 * maps come nearer to the original's on the calibration data. Muon, with steps in proportion to the weights of each
 * layer. One in eight samples is held out; the result is kept only if the outputs on those come nearer too: mirrored and
 * shifted where that suits them, because the fit of the layers has seen them as they are.
 *
 * @returns no model where nothing is to be gained or can be done: few samples, a network that is near the original already,
 *   more work than the budget has, operators that cannot be carried over
 */
export async function distill(
  network: Network,
  compressed: Model,
  setting: Setting,
  context: Pick<StepContext, 'threads' | 'device' | 'limits' | 'signal' | 'progress'>,
): Promise<Distilled> {
  const { calibration, images, fixedBatch, prepared } = network;
  const { threads, device, limits } = context;
  const trained = setting.trained ?? factorsOf(compressed, prepared);
  const { weights } = trained;
  if (setting.passes === 0 || weights.size === 0) return left(null);
  if (images < FEWEST) return left('few_samples');
  const batch = fixedBatch ?? batchOf(network, limits.layerMemoryBytes);
  const random = seededRandom(setting.seed, STREAM);
  const order = shuffled(
    Array.from({ length: images }, (_, i) => i),
    random,
  );
  const held = whole(order.slice(0, Math.max(batch, Math.floor(images / HELD_OUT))), batch);
  const rest = order.slice(held.flat().length);
  const probe = await calibration.batch(0, batch);
  if (rest.length < batch) return left('few_samples');

  const known = new Set(prepared.graph.node.flatMap(({ output }) => output));
  const outputs = outputsToPull(compressed, known);
  const original = extract(prepared, [], outputs).model;
  const errorOf = (model: Model, moved: ReadonlySet<Variation> = NO_VARIATION) => {
    // The same places every time.
    const places = seededRandom(setting.seed, STREAM, MOVED);
    const change = (samples: Samples) => varied(samples, moved, places);
    const times = moved.size === 0 ? 1 : Math.ceil(FEW_HELD / Math.max(1, held.flat().length));
    const batches = Array.from({ length: times }, () => held).flat();
    return outputError(original, extract(model, [], outputs).model, { calibration, batches, change }, context);
  };
  const before = await errorOf(trained.before);
  const size = sizeOfStep(batch);
  const ofSamples = size * (await workOf(network, compressed, probe, threads));
  const { matrices, work } = affordableMatrices(trained.matrices, ofSamples);
  const counted = { work: (ofSamples + work) / size, samples: rest.length, error: before, size };
  const affordable = setting.passes ?? affordablePasses(setting.budget, counted);
  if (affordable === 0) return left(before < setting.budget.near ? 'near' : 'beyond_effort');

  // Of a map with fewer channels there is no original.
  const made = new Set(compressed.graph.node.flatMap(({ output }) => output));
  const inner = network.layers
    .flatMap((layer) => usesOf(layer).map(({ input }) => input))
    .filter((name) => !outputs.includes(name) && (made.has(name) || inputNames(prepared).includes(name)));
  const losses = [...outputs, ...new Set(inner)];
  const student = await TrainableNetwork.open(
    compressed,
    { weights, losses, known, original: prepared, samples: probe },
    { threads, device },
  ).catch(unlessUnfit);
  if (student === null) return left('operators');
  if (student.losses.length === 0) {
    await student.release();
    return left('operators');
  }
  let variations = NO_VARIATION;
  let optimizer: Optimizer | null = null;
  try {
    const teacher = await Teacher.open(prepared, student.losses, outputs, context);
    let pulls: ReadonlyMap<string, Pull>;
    try {
      pulls = await teacher.pulls(calibration, held);
      const seen = whole([...held.flat(), ...rest].slice(0, Math.max(LOOKED_AT, batch)), batch);
      // Of an input without an axis for samples nothing is known.
      if (wholeInputs(portsOf(prepared)).size === 0) variations = await teacher.variationsOf(calibration, seen, random);
    } finally {
      await teacher.release();
    }
    const isVaried = variations.size > 0;
    const mostPlain = Math.max(MOST_PLAIN_PASSES, setting.budget.passes);
    const passes = setting.passes ?? (isVaried ? affordable : Math.min(affordable, mostPlain));
    const highest =
      trained.rate *
      (isVaried ? RATE.varied : RATE.plain) *
      Math.min(1, (before / FULL_RATE_ERROR) ** 2) *
      Math.min(1, (passes * stepsOfPass(rest.length, size)) / FULL_RATE_STEPS);
    optimizer = await trained.begin(student, { matrices, threads, device });
    await descend(
      { student, optimizer },
      pulls,
      { calibration, samples: rest, schedule: { batch, passes, highest, random, variations } },
      context,
    );
    const model = trained.after(student.current());
    // Mixed samples are none of the data.
    const moved = new Set([...variations].filter((kind) => kind !== 'mixed'));
    const compared = moved.size === 0 ? before : await errorOf(trained.before, moved);
    const after = await errorOf(model, moved);
    const report = {
      passes,
      samples: rest.length,
      held_out: held.flat().length,
      relative_error_before: compared,
      relative_error_after: after,
      kept: after < compared,
      variations: [...variations],
    };
    return { model: report.kept ? model : trained.before, report };
  } finally {
    await optimizer?.release();
    await student.release();
  }
}

/**
 * Operators of an old version, or ones that the runtime does not take in a graph of its own making: the network stays
 * as it is.
 */
function unlessUnfit(error: unknown): null {
  if (error instanceof InputError) return null;
  throw error;
}

/** Root of the squared difference of the outputs over their variance, as `fidelity.relative_error`. */
async function outputError(
  original: Model,
  changed: Model,
  {
    calibration,
    batches,
    change,
  }: { calibration: Dataset; batches: readonly (readonly number[])[]; change: (samples: Samples) => Samples },
  { threads, device, signal }: Pick<StepContext, 'threads' | 'device' | 'signal'>,
): Promise<number> {
  const error = new OutputError();
  const first = await Runner.open(original, { threads, device });
  try {
    const second = await Runner.open(changed, { threads, device });
    try {
      for (const chosen of batches) {
        signal.throwIfAborted();
        const samples = change(await gatherRows(calibration, chosen));
        const values = await second.run(samples);
        for (const [name, value] of await first.run(samples)) error.add(name, value, values.get(name) ?? value);
      }
    } finally {
      await second.release();
    }
  } finally {
    await first.release();
  }
  return Math.sqrt(error.relative);
}

interface Schedule {
  batch: number;
  passes: number;
  highest: number;
  variations: ReadonlySet<Variation>;
  random: () => number;
}

async function descend(
  { student, optimizer }: { student: TrainableNetwork; optimizer: Optimizer },
  pulls: ReadonlyMap<string, Pull>,
  {
    calibration,
    samples,
    schedule: { batch, passes, highest, random, variations },
  }: {
    calibration: Dataset;
    samples: readonly number[];
    schedule: Schedule;
  },
  { signal, progress }: Pick<StepContext, 'signal' | 'progress'>,
): Promise<void> {
  const size = sizeOfStep(batch);
  const perPass = stepsOfPass(samples.length, size);
  const steps = passes * perPass;
  for (let step = 0, order: number[] = []; step < steps; step++) {
    if (step % perPass === 0) order = shuffled([...samples], random);
    const chosen = whole(order.splice(0, size), batch);
    const sums = new Map<string, Float32Array>();
    // All of a step at once, whatever the network takes at a time: a sample is mixed with another one.
    const given = varied(await gatherRows(calibration, chosen.flat()), variations, random);
    for (const part of chosen.keys()) {
      signal.throwIfAborted();
      const { gradients } = await student.differentiate(partOf(given, part, chosen.length), pulls);
      for (const [name, gradient] of gradients) {
        const sum = sums.get(name);
        if (sum === undefined) sums.set(name, gradient);
        else for (let i = 0; i < sum.length; i++) sum[i] = sum[i] + gradient[i];
      }
    }
    const done = (step + 1) / (steps + 1);
    const rate = highest * Math.min(1, done / WARM_UP) * 0.5 * (1 + Math.cos(Math.PI * done));
    await optimizer.step(sums, rate);
    progress(done);
  }
}

/** One of `count` equal parts. */
const partOf = (samples: Samples, part: number, count: number): Samples =>
  mapSamples(samples, (tensor) => {
    const rows = (tensor.dims[0] ?? 0) / count;
    return sliceRows(tensor, part * rows, (part + 1) * rows);
  });

/** For one sample: the original once, the compressed network forwards and twice backwards. */
async function workOf(network: Network, compressed: Model, probe: Samples, threads: number): Promise<number> {
  const listed = await listLayers(compressed, probe, { threads });
  return passWork(network.layers) + 3 * passWork(listed.layers);
}

/**
 * Samples that are run at a time: within the memory for a layer, a step's at most, and no more than the caches hold. A power of two, so
 * that steps come out even.
 */
function batchOf({ layers, images }: Network, bytes: number): number {
  const each = MAPS_HELD * mapBytes(layers).all;
  const most = batchWithin(bytes, each, Math.min(STEP, Math.floor(images / HELD_OUT)));
  const cached = Math.max(FEW, batchWithin(CACHED_BYTES, each, most));
  return 2 ** Math.floor(Math.log2(Math.min(most, cached)));
}

/** Batches of one size; what is left over is dropped. */
function whole(samples: readonly number[], batch: number): number[][] {
  return Array.from({ length: Math.floor(samples.length / batch) }, (_, i) =>
    samples.slice(i * batch, (i + 1) * batch),
  );
}

/** In place (Fisher and Yates). */
function shuffled(values: number[], random: () => number): number[] {
  for (let i = values.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [values[i], values[j]] = [values[j] ?? 0, values[i] ?? 0];
  }
  return values;
}
