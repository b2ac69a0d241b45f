import { affineOf, quantized } from '../../coding/affine.js';
import { makeNode } from '../../ir/attributes.js';
import { DataType } from '../../ir/messages.js';
import { floatTensor } from '../../ir/tensors.js';
import { bytesOf, castNode, freshName, type TensorCoder } from './coder.js';

/**
 * Steps between the smallest and the largest weight of the tensor, zero among them: all that the shards of
 * TensorFlow.js can say.
 */
export const uint8: TensorCoder = (tensor) => {
  const { weight, dims, values } = tensor;
  let [low, high] = [0, 0];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const affine = affineOf({ low, high });
  const fresh = (part: string) => freshName(tensor, part);
  const [name, number, scaled] = [fresh('uint8'), fresh('number'), fresh('scaled')];
  const [scale, least] = [fresh('scale'), fresh('least')];
  const one = (text: string, value: number) => floatTensor(text, [], Float32Array.of(value));
  return {
    tensors: [
      { name, dims, dataType: DataType.UINT8, rawData: bytesOf(Uint8Array.from(values, (v) => quantized(v, affine))) },
      one(scale, affine.scale),
      one(least, -affine.zeroPoint * affine.scale),
    ],
    nodes: [
      castNode(tensor, name, number, DataType.FLOAT),
      makeNode('Mul', fresh('multiplied'), [number, scale], [scaled]),
      makeNode('Add', fresh('moved'), [scaled, least], [weight]),
    ],
  };
};
