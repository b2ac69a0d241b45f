import { intsAttribute } from '../ir/attributes.js';
import type { GraphIndex } from './graph-index.js';
import { int64ToNumber, DataType, type TensorProto } from '../ir/messages.js';
import { operatorOf } from '../ir/operator.js';
import { tensorDims } from '../ir/tensors.js';

/**
 * The stored tensor behind weights that are decoded in the graph (Cast, DequantizeLinear, a Gather from a table, a
 * product with constant scales, a Transpose of a tensor that others read as it is), with the shape of the weights: a stand-in to list and count by, without data. Null for
 * anything else.
 */
export function storedWeight(name: string | undefined, index: GraphIndex): TensorProto | null {
  const stored = index.initializer(name);
  if (stored !== null) return stored;
  const node = index.producer(name);
  if (node === null) return null;
  const [first, second] = node.input;
  switch (operatorOf(node)) {
    case 'Cast':
    case 'DequantizeLinear':
    case 'Identity':
      return shaped(storedWeight(first, index));
    case 'Transpose': {
      const from = storedWeight(first, index);
      if (from === null) return null;
      const dims = tensorDims(from);
      const perm = intsAttribute(node, 'perm') ?? dims.map((_, i) => dims.length - 1 - i);
      return shaped(
        from,
        perm.map((axis) => dims[axis] ?? 0),
      );
    }
    case 'Mul':
      return storedWeight(second, index) === null ? null : shaped(storedWeight(first, index));
    case 'Gather': {
      const table = storedWeight(first, index);
      const indices = storedWeight(second, index);
      return table === null || indices === null
        ? null
        : shaped(indices, [...tensorDims(indices), ...tensorDims(table).slice(1)]);
    }
    case 'Reshape': {
      const dims = sizesIn(index.initializer(second));
      const from = storedWeight(first, index);
      return dims === null || from === null ? null : shaped(from, dims);
    }
    default:
      return null;
  }
}

function shaped(tensor: TensorProto | null, dims?: number[]): TensorProto | null {
  return tensor === null ? null : { name: tensor.name, dims: dims ?? tensor.dims, dataType: tensor.dataType };
}

/** Explicit sizes of a Reshape. */
function sizesIn(shape: TensorProto | null): number[] | null {
  if (shape?.dataType !== DataType.INT64 || shape.rawData === undefined) return null;
  const bytes = Uint8Array.from(shape.rawData);
  const sizes = Array.from(new BigInt64Array(bytes.buffer), Number);
  return sizes.every((size) => size > 0) && sizes.length === int64ToNumber(shape.dims[0]) ? sizes : null;
}
