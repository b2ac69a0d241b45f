import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openDataset, type Dataset } from '../../datasets/index.js';
import { InputError } from '../../errors/index.js';
import { writtenFormat } from '../../jobs/points.js';
import {
  foldWeights,
  formatOf,
  inputNames,
  listLayers,
  loadModel,
  outputParts,
  portsOf,
  prepare,
  Runner,
  spillWeights,
  wholeInputs,
  type ListedLayers,
  type ModelFormatName,
  type Model,
  type Parts,
} from '../../models/index.js';
import type { Assignment } from '../../jobs/tasks.js';
import { affordableImages, affordableSamples, imagesOfRun, spread } from '../cost/budgets.js';
import { batchWithin, mapBytes } from './feature-maps.js';
import { asInspected } from './as-inspected.js';
import { toFit } from './held-out.js';
import type { StepContext } from '../step.js';

/** The client's model and calibration data, checked against each other, ready for work. */
export interface Network extends ListedLayers {
  /** As the client sent it. */
  original: Model;
  /** Normalizations folded; layers and tensors are named after this one. */
  prepared: Model;
  /** Without what is held out to judge the result by. */
  calibration: Dataset;
  /**
   * Calibration images that are used: bounded by the samples that are wanted, by disk, by the cost of a pass, and by a
   * fixed batch size.
   */
  images: number;
  /** Samples of every layer: those that are wanted, or as many as all fits may cost. */
  samples: number;
  /** Images per run that keep a batch of captured tensors small, the fixed batch size if there is one. */
  batch: number;
  fixedBatch: number | null;
  /** Of outputs that are concatenations. */
  parts: ReadonlyMap<string, Parts>;
  close(): Promise<void>;
}

/** Share of the memory for one layer that the feature maps of one batch may take. */
const BATCH_SHARE = 0.5;
const MAX_BATCH = 64;
/** Bound for one feature map of all images, which the sequential refit keeps on disk. */
const STORED_BYTES = 8 * 2 ** 30;

export async function loadPrepared(context: StepContext, key: string): Promise<{ original: Model; prepared: Model }> {
  const directory = join(context.directory, 'model');
  await mkdir(directory, { recursive: true });
  const original = await loadModel(context.path(key), { directory, limits: context.limits, signal: context.signal });
  const folded = await foldWeights(original, { threads: context.threads });
  return { original, prepared: await spillWeights(prepare(folded), directory) };
}

/** The samples in a file, for the inputs of a network. @param what the client calls the file */
export async function openSamples(context: StepContext, model: Model, key: string, what: string): Promise<Dataset> {
  return openDataset(context.path(key), {
    directory: context.directory,
    limits: { ...context.limits, maxSamples: context.limits.maxCalibrationSamples },
    what,
    inputs: inputNames(model),
    whole: wholeInputs(portsOf(model)),
    signal: context.signal,
  });
}

/** Layers that know what the format of the output makes of them. */
function picking(listed: ListedLayers, format: ModelFormatName): ListedLayers {
  const picksByConvolution = formatOf(format).picksByConvolution === true;
  return picksByConvolution
    ? { ...listed, layers: listed.layers.map((layer) => ({ ...layer, picksByConvolution })) }
    : listed;
}

/** @throws {InputError} when the model or the data cannot be used, or do not fit each other */
export async function openNetwork(
  context: StepContext,
  assignment: Pick<Assignment, 'inputs' | 'spec'> & Partial<Pick<Assignment, 'finished'>>,
): Promise<Network> {
  const { inputs, spec } = assignment;
  const { original, prepared } = await loadPrepared(context, inputs.model.key);
  const sent = await openSamples(context, original, inputs.calibration.key, 'calibration');
  try {
    const fixed = await checkInput(context, original, sent);
    const given = toFit(sent, assignment, fixed);
    const whole = (count: number) => (fixed === null ? count : count - (count % fixed));
    if (whole(given.count) === 0) {
      throw new InputError(
        'invalid_dataset',
        `the model takes batches of exactly ${String(fixed)} samples, and the calibration data has ${String(given.count)}`,
        { faults: given.faults('too few samples for one batch') },
      );
    }
    // Two samples tell the batch axis from the others.
    const probe = await given.batch(0, fixed ?? Math.min(2, given.count));
    const listed = picking(
      asInspected(await listLayers(prepared, probe, { threads: context.threads }), assignment),
      writtenFormat(spec, original.format),
    );
    const parts = await outputParts(prepared, probe, { threads: context.threads });
    const maps = mapBytes(listed.layers);
    // Every image gives at least one patch, so more images than samples would not be looked at.
    const affordable = Math.max(fixed ?? 1, Math.floor(STORED_BYTES / maps.input));
    const enough = whole(Math.min(given.count, Math.max(fixed ?? 1, spec.method.samples), affordable));
    const images = affordableImages(listed.layers, enough, fixed);
    const calibration = images === given.count ? given : given.subset(spread(given.count, images));
    const share = context.limits.layerMemoryBytes * BATCH_SHARE;
    const together = imagesOfRun(listed.layers, Math.min(MAX_BATCH, images));
    const batch = fixed ?? batchWithin(share, maps.all, together);
    const { samples, max_iterations: iterations } = spec.method;
    return {
      ...listed,
      original,
      prepared,
      calibration,
      images,
      samples: affordableSamples(listed.layers, { images, samples, iterations }),
      batch,
      fixedBatch: fixed,
      parts,
      close: () => calibration.close(),
    };
  } catch (error) {
    await sent.close();
    throw error;
  }
}

/** Checks that the original model loads and takes the data. Returns its batch size if that is fixed. */
export async function checkInput(
  context: Pick<StepContext, 'threads'>,
  model: Model,
  data: Dataset,
): Promise<number | null> {
  const runner = await Runner.open(model, { threads: context.threads });
  try {
    runner.checkSamples(data.columns, 'calibration');
    return runner.fixedBatch;
  } finally {
    await runner.release();
  }
}
