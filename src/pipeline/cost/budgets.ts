import type { Spec } from '../../jobs/spec.js';
import type { Layer } from '../../models/index.js';
import { passWork, solveWork, statisticsWork, type Counted } from './work.js';

/**
 * What the parts of a job may cost at most, in counted work (see `work`). A part that would cost more takes fewer
 * images, samples or probes.
 */
export const BUDGETS = {
  /** One pass over the calibration images; a job makes about four. */
  pass: 1.2e12,
  /** One run: nothing is told or stopped within. */
  run: 6e10,
  /** Curves of all layers. */
  statistics: 1.6e12,
  /** Fits of all layers, once. */
  solves: 2.5e12,
  /** Runs behind every layer with a part of its response. */
  probes: 8e11,
  /** Runs without every branch that may be left out. */
  branches: 6e11,
} as const;

/** A fit needs some images whatever a pass costs, and some samples. */
const FEWEST_IMAGES = 16;
const FEWEST_SAMPLES = 1000;
/** Samples of the default: who asks for more has a budget that much larger. */
const USUAL_SAMPLES = 5000;

/** Images that a pass over all layers may take, of those there are; whole batches where the network takes no others. */
export function affordableImages(layers: readonly Counted[], images: number, fixedBatch: number | null): number {
  const most = Math.max(FEWEST_IMAGES, Math.floor(BUDGETS.pass / Math.max(1, passWork(layers))));
  if (most >= images) return images;
  return fixedBatch === null ? most : Math.max(fixedBatch, most - (most % fixedBatch));
}

/** TensorFlow.js is slower than ONNX Runtime: agreement and error are measured on so many samples there. */
export const MOST_IN_TENSORFLOW = 64;

/** Batch sizes that are timed in TensorFlow.js: beside ONNX Runtime the first is enough to know. */
export const batchesInTensorflow = ({ batch_sizes: sizes, runtime }: Spec['benchmark']): number[] =>
  runtime === 'tensorflowjs' ? sizes : sizes.slice(0, 1);

/** Numbers of `wanted` images, evenly over all: neighbours are often alike. */
export const spread = (count: number, wanted: number): Uint32Array =>
  Uint32Array.from({ length: wanted }, (_, i) => Math.floor((i * count) / wanted));

/** Images of one run. */
export const imagesOfRun = (layers: readonly Counted[], most: number): number =>
  Math.max(1, Math.min(most, Math.floor(BUDGETS.run / Math.max(1, passWork(layers)))));

interface Wanted {
  images: number;
  samples: number;
  iterations: number;
}

type Fitted = Pick<Layer, 'm' | 'd' | 'channels' | 'blocked' | 'positions'>;

/** Of all layers with so many samples each; a layer has no more than its images have positions. */
export function fitWork(layers: readonly Fitted[], { images, samples, iterations }: Wanted) {
  let [statistics, solves] = [0, 0];
  for (const layer of layers) {
    const own = Math.min(samples, images * layer.positions);
    statistics += statisticsWork(layer, own);
    solves += solveWork(layer, own, iterations);
  }
  return { statistics, solves };
}

/** Samples of every layer that its statistics and its fit may take, of those that are wanted. */
export function affordableSamples(layers: readonly Fitted[], wanted: Wanted): number {
  const wish = Math.max(1, wanted.samples / USUAL_SAMPLES);
  const fits = (samples: number): boolean => {
    const { statistics, solves } = fitWork(layers, { ...wanted, samples });
    return statistics <= wish * BUDGETS.statistics && solves <= wish * BUDGETS.solves;
  };
  if (fits(wanted.samples)) return wanted.samples;
  let [low, high] = [Math.min(FEWEST_SAMPLES, wanted.samples), wanted.samples];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}
