import { rowsOf, type Matrix, type Operand, type Transpose } from './engine.js';

/** Rows summed in single precision before they are added in double: bounds the rounding to about 1e-6 of the entry. */
const CHUNK_ROWS = 512;

type Multiply = (a: Operand, b: Operand, transpose?: Transpose) => Promise<Matrix>;

/** aᵀ b by chunks of rows, added up in double precision. */
export async function accumulate(multiply: Multiply, a: Matrix, b: Matrix): Promise<Float64Array> {
  if (a.rows !== b.rows) throw new RangeError(`${a.rows} and ${b.rows} rows of a Gram matrix differ`);
  const sum = new Float64Array(a.cols * b.cols);
  for (let begin = 0; begin < a.rows; begin += CHUNK_ROWS) {
    const end = Math.min(begin + CHUNK_ROWS, a.rows);
    const part = (await multiply(rowsOf(a, begin, end), rowsOf(b, begin, end), { transposeA: true })).data;
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i] + part[i];
  }
  return sum;
}

/** Averages [n, n] with its transpose, in place: products of a matrix with itself are symmetric only up to rounding. */
export function symmetrize(a: Float64Array, n: number): Float64Array {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const mean = (a[i * n + j] + a[j * n + i]) / 2;
      a[i * n + j] = mean;
      a[j * n + i] = mean;
    }
  }
  return a;
}
