import { toInt8 } from '../../coding/int8.js';
import { makeNode } from '../../ir/attributes.js';
import { DataType } from '../../ir/messages.js';
import { floatTensor } from '../../ir/tensors.js';
import { bytesOf, castNode, freshName, scaleDims, type TensorCoder } from './coder.js';

/** Integers, and a scale for every row. */
export const int8: TensorCoder = (tensor) => {
  const { weight, dims } = tensor;
  const { values, scales } = toInt8(tensor.values, tensor.importance(), tensor.layout);
  const fresh = (part: string) => freshName(tensor, part);
  const [name, number, scale] = [fresh('int8'), fresh('number'), fresh('scale')];
  return {
    tensors: [
      { name, dims, dataType: DataType.INT8, rawData: bytesOf(values) },
      floatTensor(scale, scaleDims(tensor), scales),
    ],
    nodes: [
      castNode(tensor, name, number, DataType.FLOAT),
      makeNode('Mul', fresh('scaled'), [number, scale], [weight]),
    ],
  };
};
