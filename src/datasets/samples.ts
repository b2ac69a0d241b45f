import type { Tensor, TensorData } from './tensor.js';

/** A batch of samples: a tensor for every input of a network, by the input's name. */
export type Samples = ReadonlyMap<string, Tensor>;

/** Samples in a batch. */
export const countOf = (samples: Samples): number => samples.values().next().value?.dims[0] ?? 0;

/** The batch with every tensor changed. */
export const mapSamples = (samples: Samples, change: (tensor: Tensor) => Tensor): Samples =>
  new Map([...samples].map(([name, tensor]) => [name, change(tensor)]));

/** Batches one behind the other, as one. */
export function joinSamples(parts: readonly Samples[]): Samples {
  const [first] = parts;
  if (first === undefined) throw new RangeError('no samples to join');
  if (parts.length === 1) return first;
  return new Map([...first.keys()].map((name) => [name, concatenate(parts.flatMap((part) => part.get(name) ?? []))]));
}

/** Elements of one row of the first axis. */
const rowLength = ({ dims }: Tensor): number => dims.slice(1).reduce((a, b) => a * b, 1);

/** Rows [begin, end) of the first axis; a view. */
export function sliceRows(tensor: Tensor, begin: number, end: number): Tensor {
  if (tensor.dims.length === 0 || !Number.isInteger(end)) return tensor;
  const row = rowLength(tensor);
  return { dims: [end - begin, ...tensor.dims.slice(1)], data: tensor.data.subarray(begin * row, end * row) };
}

/** Joins tensors along their first axis. */
export function concatenate(parts: readonly Tensor[]): Tensor {
  const [first] = parts;
  if (first === undefined) throw new RangeError('nothing to join');
  if (parts.length === 1 || first.dims.length === 0) return first;
  const rows = parts.reduce((sum, { dims }) => sum + (dims[0] ?? 0), 0);
  const Data = first.data.constructor as new (length: number) => TensorData;
  const data = new Data(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    (data as Float32Array).set(part.data as Float32Array, at);
    at += part.data.length;
  }
  return { dims: [rows, ...first.dims.slice(1)], data };
}
