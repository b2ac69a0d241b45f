import type { Dataset } from '../datasets/index.js';
import type { Tensor } from '../models/index.js';

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
