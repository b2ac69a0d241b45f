import { kMeans } from '../../coding/kmeans.js';
import { rowOf, type Layout } from '../../coding/layout.js';
import { makeInt, makeNode } from '../../ir/attributes.js';
import { DataType } from '../../ir/messages.js';
import { floatTensor, int64Tensor } from '../../ir/tensors.js';
import { bytesOf, castNode, freshName, scaleDims, type TensorCoder, type TensorToCode } from './coder.js';
import { int8 } from './int8.js';

/** Table entries are float32: with fewer weights to share them, 8-bit integers lose less and take hardly more. */
const CENTROIDS = 256;
const FEWEST_PER_CENTROID = 8;

/**
 * Indices into a table of numbers, or of pairs. Rows are brought to one size first, so that all of them share the
 * table.
 */
export const codebook: TensorCoder = (tensor) => {
  const { weight, dims, values, layout, bits, random } = tensor;
  const width = bits === 4 && values.length % 2 === 0 ? 2 : 1;
  if (values.length / width < CENTROIDS * FEWEST_PER_CENTROID) return int8(tensor);
  const importance = tensor.importance();
  const scales = rootMeanSquares(values, layout);
  const scaleAt = (i: number) => scales[rowOf(layout, i)];
  const normal = values.map((v, i) => v / scaleAt(i));
  const weights = importance.map((v, i) => v * scaleAt(i) ** 2);
  const { centroids, indices } = kMeans(normal, even(weights), { k: CENTROIDS, width, random });
  fitScales(scales, tensor, importance, (i) => {
    const vector = indices[Math.floor(i / width)];
    return centroids[vector * width + (i % width)];
  });
  const fresh = (part: string) => freshName(tensor, part);
  const [name, index, table] = [fresh('indices'), fresh('index'), fresh('codebook')];
  const [vectors, shape, number, scale] = [fresh('vectors'), fresh('shape'), fresh('number'), fresh('scale')];
  return {
    tensors: [
      { name, dims: [indices.length], dataType: DataType.UINT8, rawData: bytesOf(indices) },
      floatTensor(table, [centroids.length / width, width], centroids),
      int64Tensor(shape, [dims.length], dims),
      floatTensor(scale, scaleDims(tensor), scales),
    ],
    nodes: [
      castNode(tensor, name, index, DataType.INT32),
      makeNode('Gather', fresh('gather'), [table, index], [vectors], [makeInt('axis', 0)]),
      makeNode('Reshape', fresh('reshape'), [vectors, shape], [number]),
      makeNode('Mul', fresh('scaled'), [number, scale], [weight]),
    ],
  };
};

/** Weights around 1, so that sums of them stay in the middle of the range of numbers. */
function even(weights: Float32Array): Float32Array {
  const mean = weights.reduce((a, b) => a + b, 0) / weights.length;
  return mean > 0 && Number.isFinite(mean) ? weights.map((w) => Math.max(w / mean, 1e-12)) : weights.fill(1);
}

/** Of the rows; 1 for a row of zeros. */
function rootMeanSquares(values: Float32Array, layout: Layout): Float32Array {
  const sums = new Float64Array(layout.rows);
  for (const [i, value] of values.entries()) {
    const row = rowOf(layout, i);
    sums[row] = sums[row] + value * value;
  }
  return Float32Array.from(sums, (sum) => Math.sqrt((sum * layout.rows) / values.length) || 1);
}

/** The scale of every row that leaves the least sum of importance * (w - scale * coded)^2. */
function fitScales(
  scales: Float32Array,
  { values, layout }: Pick<TensorToCode, 'values' | 'layout'>,
  importance: Float32Array,
  coded: (i: number) => number,
): void {
  const products = new Float64Array(layout.rows);
  const squares = new Float64Array(layout.rows);
  for (let i = 0; i < values.length; i++) {
    const row = rowOf(layout, i);
    const number = coded(i);
    const weighted = importance[i] * number;
    products[row] = products[row] + weighted * values[i];
    squares[row] = squares[row] + weighted * number;
  }
  for (let row = 0; row < layout.rows; row++) if (squares[row] > 0) scales[row] = products[row] / squares[row];
}
