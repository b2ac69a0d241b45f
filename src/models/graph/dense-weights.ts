import { floatAttribute, intAttribute } from '../ir/attributes.js';
import type { NodeProto, TensorProto } from '../ir/messages.js';
import { isOperator } from '../ir/operator.js';
import { elementCount, tensorDims, tensorFloats } from '../ir/tensors.js';

/** Weights [m, d] and bias [m] of a Conv, ConvTranspose, Gemm or MatMul, whatever way the node keeps them. */
export interface DenseWeights {
  /** Row-major [m, d]; may be a view of the model file: not to be written to. */
  weights: Float32Array;
  bias: Float32Array;
}

/** [rows, columns] -> [columns, rows], in blocks that fit the cache. */
export function transpose(source: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(source.length);
  const block = 32;
  for (let r0 = 0; r0 < rows; r0 += block) {
    for (let c0 = 0; c0 < columns; c0 += block) {
      const r1 = Math.min(r0 + block, rows);
      const c1 = Math.min(c0 + block, columns);
      for (let r = r0; r < r1; r++) {
        for (let c = c0; c < c1; c++) result[c * rows + r] = source[r * columns + c];
      }
    }
  }
  return result;
}

/** Weights of a transposed convolution [channels, m, ...kernel] as [m, channels * taps], and the other way round. */
export function outputsFirst(values: Float32Array, [channels = 0, m = 0, ...kernel]: readonly number[]): Float32Array {
  const taps = kernel.reduce((a, b) => a * b, 1);
  const result = new Float32Array(values.length);
  for (let c = 0; c < channels; c++)
    for (let o = 0; o < m; o++) {
      const from = (c * m + o) * taps;
      result.set(values.subarray(from, from + taps), (o * channels + c) * taps);
    }
  return result;
}

function scaled(values: Float32Array, factor: number): Float32Array {
  return factor === 1 ? values : values.map((v) => v * factor);
}

/**
 * @param weight initializer behind the node's weight input
 * @param bias initializer of the node's bias, or of the Add behind a MatMul
 */
export function denseWeightsOf(
  node: NodeProto,
  weight: TensorProto,
  bias: TensorProto | null,
  directory: string | null,
): DenseWeights {
  const dims = tensorDims(weight);
  const values = tensorFloats(weight, directory);
  const gemm = isOperator(node, 'Gemm');
  if (isOperator(node, 'ConvTranspose')) {
    const turned = outputsFirst(values, dims);
    return { weights: turned, bias: denseBias(bias, dims[1] ?? 0, 1, directory) };
  }
  const asStored = isOperator(node, 'Conv') || (gemm && intAttribute(node, 'transB', 0) !== 0);
  const [first = 0, second = 0] = dims;
  const m = asStored ? first : second;
  const weights = scaled(
    asStored ? values : transpose(values, first, second),
    gemm ? floatAttribute(node, 'alpha', 1) : 1,
  );
  return { weights, bias: denseBias(bias, m, gemm ? floatAttribute(node, 'beta', 1) : 1, directory) };
}

function denseBias(bias: TensorProto | null, m: number, beta: number, directory: string | null): Float32Array {
  if (bias === null) return new Float32Array(m);
  const values = tensorFloats(bias, directory);
  if (elementCount(tensorDims(bias)) === 1) return new Float32Array(m).fill(values[0] * beta);
  return values.map((v) => v * beta);
}

/** Whether a constant of these dimensions adds one value per output column of [..., m], without changing the shape. */
export function isRowBias(dims: readonly number[], m: number): boolean {
  return (
    dims.length <= 2 &&
    dims.slice(0, -1).every((d) => d === 1) &&
    (dims.length === 0 || dims.at(-1) === m || dims.at(-1) === 1)
  );
}
