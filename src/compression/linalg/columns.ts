import { matrix, type Matrix } from '../../engines/index.js';
import { addOffsets, sumsOfColumns } from '../simd/column-kernels.js';

/** Mean of every column, in double precision. */
export function columnMeans(a: Matrix): Float64Array {
  const mean = sumsOfColumns(a) ?? plainColumnSums(a);
  for (let c = 0; c < a.cols; c++) mean[c] = mean[c] / a.rows;
  return mean;
}

function plainColumnSums(a: Matrix): Float64Array {
  const sums = new Float64Array(a.cols);
  for (let r = 0, i = 0; r < a.rows; r++) {
    for (let c = 0; c < a.cols; c++, i++) sums[c] = sums[c] + a.data[i];
  }
  return sums;
}

/** a - 1 meanᵀ */
export function centered(a: Matrix, mean: Float64Array): Matrix {
  const out = matrix(a.rows, a.cols);
  for (let r = 0, i = 0; r < a.rows; r++) {
    for (let c = 0; c < a.cols; c++, i++) out.data[i] = a.data[i] - mean[c];
  }
  return out;
}

/** a += 1 offsetᵀ, in place. */
export function addToRows(a: Matrix, offset: ArrayLike<number>): Matrix {
  if (addOffsets(a, offset)) return a;
  for (let r = 0, i = 0; r < a.rows; r++) {
    for (let c = 0; c < a.cols; c++, i++) a.data[i] = a.data[i] + offset[c];
  }
  return a;
}

/** The columns of a and b side by side. */
export function beside(a: Matrix, b: Matrix): Matrix {
  if (a.cols === 0) return b;
  if (b.cols === 0) return a;
  const out = matrix(a.rows, a.cols + b.cols);
  for (let r = 0; r < a.rows; r++) {
    out.data.set(a.data.subarray(r * a.cols, (r + 1) * a.cols), r * out.cols);
    out.data.set(b.data.subarray(r * b.cols, (r + 1) * b.cols), r * out.cols + a.cols);
  }
  return out;
}

/** Columns [begin, end) of a. */
export function columnRange(a: Matrix, begin: number, end: number): Matrix {
  const out = matrix(a.rows, end - begin);
  for (let r = 0; r < a.rows; r++) out.data.set(a.data.subarray(r * a.cols + begin, r * a.cols + end), r * out.cols);
  return out;
}

/** The columns of the given input channels, all taps of each. `a` is [rows, channels * taps]. */
export function channelColumns(a: Matrix, channels: readonly number[], taps: number): Matrix {
  const columns = Int32Array.from({ length: channels.length * taps }, (_, i) => {
    const tap = i % taps;
    return (channels[(i - tap) / taps] ?? 0) * taps + tap;
  });
  const out = matrix(a.rows, columns.length);
  for (let r = 0, i = 0; r < a.rows; r++) {
    const from = r * a.cols;
    for (let c = 0; c < columns.length; c++, i++) out.data[i] = a.data[from + columns[c]];
  }
  return out;
}

/** a - b */
export function difference(a: Matrix, b: Matrix): Matrix {
  const out = matrix(a.rows, a.cols);
  for (let i = 0; i < out.data.length; i++) out.data[i] = a.data[i] - b.data[i];
  return out;
}

export function transposed(a: Matrix): Matrix {
  const out = matrix(a.cols, a.rows);
  for (let r = 0; r < a.rows; r++) {
    for (let c = 0; c < a.cols; c++) out.data[c * a.rows + r] = a.data[r * a.cols + c];
  }
  return out;
}
