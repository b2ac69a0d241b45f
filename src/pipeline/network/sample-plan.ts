import type { Layer } from '../../models/layer.js';
import { sampleDistinct, seededRandom } from './random.js';

/** Where the patches of one layer come from: row r of the samples is `positions[r]` of image `images[r]`. */
export interface SamplePlan {
  /** Ascending. */
  images: Uint32Array;
  positions: Uint32Array;
}

export interface SampleBounds {
  /** Number of calibration images. */
  images: number;
  /** Wanted number of patches. */
  samples: number;
  /** Bound for the [N, d] float32 matrix. */
  memoryBytes: number;
  seed: number;
}

/**
 * Chooses the patches of one layer, spread evenly over the images, without repetition. Depends on the seed and the
 * layer's index only, so that every step can make the same plan again.
 */
export function planSamples(
  layer: Pick<Layer, 'd' | 'positions'>,
  index: number,
  { images, samples, memoryBytes, seed }: SampleBounds,
): SamplePlan {
  const affordable = Math.max(1, Math.floor(memoryBytes / (4 * layer.d)));
  const n = Math.min(samples, images * layer.positions, affordable);
  const random = seededRandom(seed, index, 1);
  const perImage = Math.floor(n / images);
  const extra = new Set(sampleDistinct(images, n - perImage * images, random));
  const plan = { images: new Uint32Array(n), positions: new Uint32Array(n) };
  let row = 0;
  for (let image = 0; image < images; image++) {
    const count = perImage + (extra.has(image) ? 1 : 0);
    for (const position of sampleDistinct(layer.positions, count, random)) {
      plan.images[row] = image;
      plan.positions[row] = position;
      row += 1;
    }
  }
  return plan;
}

/** The part of a plan that lies in images [begin, end): its first row, and the places relative to `begin`. */
export function placesIn(
  plan: SamplePlan,
  { begin, end }: { begin: number; end: number },
): { from: number; chosen: { images: Uint32Array; positions: Uint32Array } } {
  const [from, to] = rowsOf(plan, begin, end);
  const images = plan.images.subarray(from, to).map((image) => image - begin);
  return { from, chosen: { images, positions: plan.positions.subarray(from, to) } };
}

/** Rows of the plan that belong to images [begin, end), as a range of row numbers. */
export function rowsOf(plan: SamplePlan, begin: number, end: number): [number, number] {
  return [lowerBound(plan.images, begin), lowerBound(plan.images, end)];
}

function lowerBound(sorted: Uint32Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
