import { Histogram, Runner, type Model } from '../../models/index.js';
import { batchWithin } from '../network/feature-maps.js';
import type { Network } from '../network/network.js';
import { batches, floats } from '../network/network-pass.js';
import type { StepLimits } from '../step.js';

/** Ranges settle within some hundred images; more only make the job longer. */
const IMAGES = 256;

/** Of the memory for one layer, what the activations of one run may take. */
const SHARE = 0.25;
export const activationBytes = ({ layerMemoryBytes }: StepLimits): number => layerMemoryBytes * SHARE;

/** A network and the images that run through it. */
export type Calibration = Pick<Network, 'calibration' | 'batch' | 'images' | 'fixedBatch'> &
  Partial<Pick<Network, 'parts'>>;

/**
 * How the values of `tensors` are spread over the first calibration images.
 * @param bytes what the tensors of one run may take; those of one image are held in any case
 */
export async function activationHistograms(
  model: Model,
  tensors: readonly string[],
  network: Calibration,
  { bytes, threads, signal }: { bytes: number; threads: number; signal: AbortSignal },
): Promise<Map<string, Histogram>> {
  const found = new Map(tensors.map((name) => [name, new Histogram()]));
  const inputs = new Set(model.graph.input.map(({ name }) => name));
  const runner = await Runner.open(model, { threads, capture: tensors.filter((name) => !inputs.has(name)) });
  const run = async (begin: number, end: number): Promise<number> => {
    signal.throwIfAborted();
    const images = await network.calibration.batch(begin, end);
    const values = new Map([...images, ...(await runner.run(images))]);
    let size = 0;
    for (const [name, histogram] of found) {
      const value = values.get(name);
      if (value === undefined) continue;
      histogram.add(floats(value));
      size += 4 * value.data.length;
    }
    return size;
  };
  try {
    const images = Math.min(network.images, Math.max(IMAGES, network.fixedBatch ?? 1));
    // The first run tells how large the tensors are.
    const first = Math.min(images, network.fixedBatch ?? 1);
    const each = (await run(0, first)) / first;
    const batch = network.fixedBatch ?? batchWithin(bytes, Math.max(1, each), network.batch);
    for (const { begin, end } of batches(images - first, batch)) await run(first + begin, first + end);
  } finally {
    await runner.release();
  }
  return found;
}
