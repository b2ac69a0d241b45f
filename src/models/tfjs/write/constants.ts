import { intAttribute } from '../../ir/attributes.js';
import { DataType, type NodeProto, type TensorProto } from '../../ir/messages.js';
import { isOperator } from '../../ir/operator.js';
import { tensorBytes, tensorDims, tensorFloats, tensorInts } from '../../ir/tensors.js';
import type { Coding, Weights } from './target.js';

/** The numbers of a stored tensor; null for types that TensorFlow.js does not have. */
export function constantOf(tensor: TensorProto, directory: string | null): Weights | null {
  const dims = tensorDims(tensor);
  const float = (coding: Coding | null): Weights => ({
    dims,
    type: 'float32',
    data: tensorFloats(tensor, directory),
    coding,
  });
  const bytes = () => tensorBytes(tensor, directory);
  switch (tensor.dataType) {
    case DataType.FLOAT:
    case DataType.DOUBLE:
      return float(null);
    case DataType.FLOAT16:
      return float({ type: 'float16' });
    case DataType.INT64:
    case DataType.INT32:
      // The largest number stands for "to the end".
      return {
        dims,
        type: 'int32',
        data: Int32Array.from(tensorInts(tensor, directory), (v) => Math.max(Math.min(v, 2 ** 31 - 1), -(2 ** 31))),
        coding: null,
      };
    case DataType.BOOL:
      return { dims, type: 'bool', data: Uint8Array.from(bytes()), coding: null };
    case DataType.UINT8:
      return { dims, type: 'int32', data: Int32Array.from(bytes()), coding: null };
    case DataType.INT8:
      return {
        dims,
        type: 'int32',
        data: Int32Array.from(new Int8Array(Uint8Array.from(bytes()).buffer)),
        coding: null,
      };
    default:
      return null;
  }
}

/** What a node makes of constants alone, where it decodes weights; null: it has to be written. */
export function decoded(node: NodeProto, inputs: readonly Weights[]): Weights | null {
  const [x, y] = inputs;
  if (x === undefined) return null;
  if (isOperator(node, 'Cast')) {
    const to = intAttribute(node, 'to', 0);
    return to === DataType.FLOAT ? { ...x, type: 'float32', data: Float32Array.from(x.data) } : null;
  }
  if (y === undefined) return null;
  if (isOperator(node, 'Reshape')) return { ...x, dims: shapeOf(x, y) };
  if (isOperator(node, 'Gather') && intAttribute(node, 'axis', 0) === 0) return rows(x, y);
  const one = y.data.length === 1 ? (y.data[0] ?? 0) : null;
  if (isOperator(node, 'Mul')) {
    const data = broadcast(x, y, (a, b) => a * b);
    const integers = one !== null && x.coding === null && Array.prototype.every.call(x.data, isByte);
    return data === null
      ? null
      : { dims: x.dims, type: 'float32', data, coding: integers ? { type: 'uint8', scale: one, min: 0 } : null };
  }
  if (isOperator(node, 'Add')) {
    const data = broadcast(x, y, (a, b) => a + b);
    const coding: Coding | null =
      x.coding?.type === 'uint8' && one !== null ? { ...x.coding, min: x.coding.min + one } : null;
    return data === null ? null : { dims: x.dims, type: 'float32', data, coding };
  }
  return null;
}

const isByte = (value: number): boolean => Number.isInteger(value) && value >= 0 && value < 256;

function shapeOf(x: Weights, wanted: Weights): number[] {
  const dims = Array.from(wanted.data, (d, i) => (d === 0 ? (x.dims[i] ?? 1) : d));
  const open = dims.indexOf(-1);
  if (open >= 0) dims[open] = x.data.length / dims.reduce((product, d, i) => (i === open ? product : product * d), 1);
  return dims;
}

function rows(table: Weights, indices: Weights): Weights {
  const [count = 0, ...rest] = table.dims;
  const width = table.data.length / Math.max(count, 1);
  const data = new Float32Array(indices.data.length * width);
  indices.data.forEach((index, i) =>
    data.set(Float32Array.from(table.data.subarray(index * width, (index + 1) * width)), i * width),
  );
  return { dims: [...indices.dims, ...rest], type: 'float32', data, coding: null };
}

/** Of a tensor and one that is as wide or has ones. */
function broadcast(x: Weights, y: Weights, f: (a: number, b: number) => number): Float32Array | null {
  const dims = [...x.dims.slice(y.dims.length).map(() => 1), ...y.dims];
  if (y.dims.length > x.dims.length || dims.some((d, i) => d !== 1 && d !== x.dims[i])) return null;
  const strides = dims.map((d, i) => (d === 1 ? 0 : dims.slice(i + 1).reduce((a, b) => a * b, 1)));
  const result = new Float32Array(x.data.length);
  for (let i = 0; i < result.length; i++) {
    let [rest, at] = [i, 0];
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      const size = x.dims[axis] ?? 1;
      at += (rest % size) * (strides[axis] ?? 0);
      rest = Math.floor(rest / size);
    }
    result[i] = f(x.data[i] ?? 0, y.data[at] ?? 0);
  }
  return result;
}
