import type { EngineName } from './index.js';

/**
 * What the solver needs from a machine: products of matrices. Everything elementwise stays on the host, where one fused
 * loop is faster than a chain of small tensor ops (measured on two cores).
 */

/** Dense, row-major, single precision. */
export interface Matrix {
  rows: number;
  cols: number;
  /** [rows, cols] */
  data: Float32Array;
}

/** A matrix that the engine holds, so that a constant operand is sent to the device once. */
export interface Resident {
  readonly rows: number;
  readonly cols: number;
  dispose(): void;
}

export type Operand = Matrix | Resident;

export interface Transpose {
  transposeA?: boolean;
  transposeB?: boolean;
}

export interface Engine {
  readonly name: EngineName;
  /** Human-readable, such as `cpu` or `tensorflow gpu`. */
  readonly device: string;
  /** Whether a GPU computes products, or runs networks beside them. */
  readonly onGpu: boolean;
  readonly threads: number;
  /** op(a) op(b), in single precision. */
  multiply(a: Operand, b: Operand, transpose?: Transpose): Promise<Matrix>;
  /** aᵀ b with sums over many rows accumulated in double precision. Row-major [a.cols, b.cols]. */
  crossGram(a: Matrix, b: Matrix): Promise<Float64Array>;
  /** aᵀ a, as `crossGram`, exactly symmetric. */
  gram(a: Matrix): Promise<Float64Array>;
  hold(matrix: Matrix): Resident;
  /** Frees sessions and tensors; the engine cannot be used afterwards. */
  dispose(): Promise<void>;
}

export function matrix(rows: number, cols: number, data: Float32Array = new Float32Array(rows * cols)): Matrix {
  if (data.length !== rows * cols) throw new RangeError(`${data.length} values cannot be a ${rows} x ${cols} matrix`);
  return { rows, cols, data };
}

/** Rows [begin, end) without a copy. */
export function rowsOf(a: Matrix, begin: number, end: number): Matrix {
  return { rows: end - begin, cols: a.cols, data: a.data.subarray(begin * a.cols, end * a.cols) };
}

/** Shape of op(a) op(b); throws when they do not fit. */
export function productShape(
  a: { rows: number; cols: number },
  b: { rows: number; cols: number },
  transpose: Transpose = {},
): { rows: number; inner: number; cols: number } {
  const [rows, inner] = transpose.transposeA ? [a.cols, a.rows] : [a.rows, a.cols];
  const [innerB, cols] = transpose.transposeB ? [b.cols, b.rows] : [b.rows, b.cols];
  if (inner !== innerB) throw new RangeError(`inner sizes ${inner} and ${innerB} of a product differ`);
  return { rows, inner, cols };
}
