import { affineOf, quantized } from '../../coding/affine.js';
import { rowOf } from '../../coding/layout.js';
import { makeNode } from '../../ir/attributes.js';
import { DataType } from '../../ir/messages.js';
import { floatTensor } from '../../ir/tensors.js';
import { bytesOf, castNode, freshName, type TensorCoder, type TensorToCode } from './coder.js';
import { float16 } from './float16.js';

/**
 * Rounding, in parts of the weights of a row, root mean square over the rows. Rows of one size have 0.01 to 0.03. Where a
 * normalization was folded into them they differ a hundredfold, above all in depthwise kernels, and one step for the whole
 * tensor drowns the small ones: MobileNetV2 kept 54 % of its answers.
 */
const LARGEST_NOISE = 0.05;

/**
 * Steps between the smallest and the largest weight of the tensor, zero among them: all that the shards of
 * TensorFlow.js can say. A tensor that is too coarse so has 16 bits.
 */
export const uint8: TensorCoder = (tensor) => {
  const { weight, dims, values } = tensor;
  let [low, high] = [0, 0];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const affine = affineOf({ low, high });
  if (noiseOf(tensor, affine.scale) > LARGEST_NOISE) return float16(tensor);
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

/** Of rounding to steps of this size. Rows of zeros stay what they are. */
function noiseOf({ values, layout }: TensorToCode, step: number): number {
  const squares = new Float64Array(layout.rows);
  values.forEach((value, i) => {
    const row = rowOf(layout, i);
    squares[row] = (squares[row] ?? 0) + value * value;
  });
  const rounding = (values.length / layout.rows) * (step ** 2 / 12);
  const shares = [...squares].flatMap((square) => (square === 0 ? [] : [Math.min(1, rounding / square)]));
  return Math.sqrt(shares.reduce((sum, share) => sum + share, 0) / Math.max(1, shares.length));
}
