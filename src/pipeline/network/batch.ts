import type { Dataset } from '../../datasets/index.js';
import type { Tensor } from '../../models/index.js';

/** The first `batch` samples; a small set is gone through again. */
export async function repeatRows(data: Dataset, batch: number): Promise<Tensor> {
  if (batch <= data.count) return data.batch(0, batch);
  const all = await data.batch(0, data.count);
  const row = all.data.length / data.count;
  const Data = all.data.constructor as new (length: number) => typeof all.data;
  const copy = new Data(batch * row);
  for (let i = 0; i < copy.length; i++) copy[i] = all.data[i % all.data.length] ?? 0;
  return { dims: [batch, ...all.dims.slice(1)], data: copy };
}

/** The samples with these numbers, in this order. */
export async function gatherRows(data: Dataset, rows: readonly number[]): Promise<Tensor> {
  const [first, ...others] = await Promise.all(rows.map((row) => data.batch(row, row + 1)));
  if (first === undefined) throw new RangeError('no samples to gather');
  const Data = first.data.constructor as new (length: number) => typeof first.data;
  const size = first.data.length;
  const joined = new Data(size * rows.length);
  for (const [i, { data: values }] of [first, ...others].entries())
    (joined as Float32Array).set(values as Float32Array, i * size);
  return { dims: [rows.length, ...first.dims.slice(1)], data: joined };
}
