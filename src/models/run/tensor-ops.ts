import { InputError } from '../../errors/index.js';
import type { Tensor, TensorData } from '../../datasets/tensor.js';

/** `data` as the element type `type` of an ONNX Runtime tensor. */
export function castTo(data: TensorData, type: string): TensorData {
  if (typeOf(data) === type) return data;
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    return castTo(Float64Array.from(data, Number), type);
  }
  if (type === 'float32') return Float32Array.from(data);
  if (type === 'float64') return Float64Array.from(data);
  throw new InputError('invalid_dataset', `${typeOf(data)} data cannot be fed to an input of type ${type}`);
}

export function typeOf(data: TensorData): string {
  const name = data.constructor.name.replace('Array', '').replace('Big', '').toLowerCase();
  return name;
}

function rowLength({ dims }: Tensor): number {
  return dims.slice(1).reduce((a, b) => a * b, 1);
}

/** Rows [begin, end) of the first axis; a view. */
export function sliceRows(tensor: Tensor, begin: number, end: number): Tensor {
  if (tensor.dims.length === 0 || !Number.isInteger(end)) return tensor;
  const row = rowLength(tensor);
  return { dims: [end - begin, ...tensor.dims.slice(1)], data: tensor.data.subarray(begin * row, end * row) };
}

/** Repeats the last row until there are `rows`. */
export function padRows(tensor: Tensor, rows: number): Tensor {
  const have = tensor.dims[0] ?? 0;
  if (have === rows) return tensor;
  const last = sliceRows(tensor, have - 1, have);
  return concatenate([tensor, ...new Array<Tensor>(rows - have).fill(last)]);
}

/** Joins tensors along their first axis. */
export function concatenate(parts: Tensor[]): Tensor {
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
