import { FLOAT16_MAX, floatToHalf } from '../../coding/float16.js';
import { DataType } from '../../ir/messages.js';
import { bytesOf, castNode, freshName, type TensorCoder } from './coder.js';

/** Null where a weight is too large for the type. */
export const float16: TensorCoder = (tensor) => {
  const { weight, dims, values } = tensor;
  if (values.some((v) => Math.abs(v) > FLOAT16_MAX)) return null;
  const name = freshName(tensor, 'float16');
  const rawData = bytesOf(Uint16Array.from(values, floatToHalf));
  return {
    tensors: [{ name, dims, dataType: DataType.FLOAT16, rawData }],
    nodes: [castNode(tensor, name, weight, DataType.FLOAT)],
  };
};
