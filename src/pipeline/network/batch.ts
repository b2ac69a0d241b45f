import { joinSamples, mapSamples, sliceRows, type Dataset, type Samples } from '../../datasets/index.js';

/** The first `batch` samples; a small set is gone through again. */
export async function repeatRows(data: Dataset, batch: number): Promise<Samples> {
  if (batch <= data.count) return data.batch(0, batch);
  const all = await data.batch(0, data.count);
  const times = Math.ceil(batch / data.count);
  return mapSamples(joinSamples(new Array<Samples>(times).fill(all)), (tensor) => sliceRows(tensor, 0, batch));
}

/**
 * Batches of the sizes that are asked for, to be timed with. A run of more samples than one of the other steps takes
 * would take too long, and tells no more.
 */
export async function batchesOf(
  { calibration, batch, fixedBatch }: { calibration: Dataset; batch: number; fixedBatch: number | null },
  asked: readonly number[],
): Promise<{ sizes: number[]; images: Samples[] }> {
  const sizes = [...new Set(asked.map((size) => fixedBatch ?? Math.min(size, batch)))];
  return { sizes, images: await Promise.all(sizes.map((size) => repeatRows(calibration, size))) };
}

/** The samples with these numbers, in this order. */
export async function gatherRows(data: Dataset, rows: readonly number[]): Promise<Samples> {
  return joinSamples(await Promise.all(rows.map((row) => data.batch(row, row + 1))));
}
