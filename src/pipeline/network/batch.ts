import { joinSamples, mapSamples, sliceRows, type Dataset, type Samples } from '../../datasets/index.js';

/** The first `batch` samples; a small set is gone through again. */
export async function repeatRows(data: Dataset, batch: number): Promise<Samples> {
  if (batch <= data.count) return data.batch(0, batch);
  const all = await data.batch(0, data.count);
  const times = Math.ceil(batch / data.count);
  return mapSamples(joinSamples(new Array<Samples>(times).fill(all)), (tensor) => sliceRows(tensor, 0, batch));
}

/** The samples with these numbers, in this order. */
export async function gatherRows(data: Dataset, rows: readonly number[]): Promise<Samples> {
  return joinSamples(await Promise.all(rows.map((row) => data.batch(row, row + 1))));
}
