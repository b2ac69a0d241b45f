import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import { columnRange, transposed } from '../linalg/columns.js';
import { cholesky, lowerSolveIdentity } from '../linalg/cholesky.js';
import { dot } from '../linalg/dense.js';
import { symmetricEigen } from '../linalg/eigen.js';
import { normals } from '../linalg/random.js';

/** K restricted to rank k: K ~ left [m, k] right [k, n]; where the rank binds, left has orthonormal columns. */
export interface RankFactors {
  left: Matrix;
  right: Matrix;
}

/** Up to this size a dense eigen-solve costs less than the many steps of a cold start; and than those of a warm one. */
const DENSE_SIZE = 128;
const DENSE_SIZE_WARM = 32;
const OVERSAMPLING = 16;
const COLD_STEPS = 30;
const WARM_STEPS = 1;
const FIRST_SHIFT = 1e-6;
const LAST_SHIFT = 1e-3;

export interface RankSearch {
  rank: number;
  /** `left` of an earlier, similar K: two subspace steps then do instead of a fresh solve. */
  warm: Matrix | null;
  random: () => number;
}

/**
 * Best rank-k approximation of K [m, n]: its leading left singular vectors. In whitened coordinates this is the
 * reduced-rank regression of the target (eigenvectors of B G Bᵀ, for B the full regression and G the Gram matrix).
 */
export async function rankStep(engine: Engine, k: Matrix, { rank, warm, random }: RankSearch): Promise<RankFactors> {
  if (rank >= k.rows) return { left: identityMatrix(k.rows), right: k };
  if (rank >= k.cols) return { left: k, right: identityMatrix(k.cols) };
  const dense = warm === null ? DENSE_SIZE : DENSE_SIZE_WARM;
  const left =
    k.rows <= dense
      ? denseSubspace(k, rank)
      : k.cols <= dense
        ? await tallSubspace(engine, k, rank)
        : await subspaceIteration(engine, k, { rank, warm, random });
  return { left, right: await engine.multiply(left, k, { transposeA: true }) };
}

export function identityMatrix(n: number): Matrix {
  const out = matrix(n, n);
  for (let i = 0; i < n; i++) out.data[i * n + i] = 1;
  return out;
}

/** K Kᵀ in double precision: squaring in single would lose directions below 3e-4 of the largest. */
function denseSubspace(k: Matrix, rank: number): Matrix {
  return leadingColumns(rowProducts(k), k.rows, rank);
}

/** Of a K with many more rows than columns: K times the leading eigenvectors of Kᵀ K. */
async function tallSubspace(engine: Engine, k: Matrix, rank: number): Promise<Matrix> {
  const right = leadingColumns(rowProducts(transposed(k)), k.cols, rank);
  return orthonormal(engine, await engine.multiply(k, right));
}

/** K Kᵀ */
function rowProducts(k: Matrix): Float64Array {
  const rows = Float64Array.from(k.data);
  const square = new Float64Array(k.rows * k.rows);
  for (let i = 0; i < k.rows; i++) {
    for (let j = 0; j <= i; j++) {
      const value = dot(rows, i * k.cols, rows, j * k.cols, k.cols);
      square[i * k.rows + j] = value;
      square[j * k.rows + i] = value;
    }
  }
  return square;
}

/** Eigenvectors of the `rank` largest eigenvalues of a symmetric [n, n], as columns [n, rank]. */
function leadingColumns(a: Float64Array, n: number, rank: number): Matrix {
  const { vectors } = symmetricEigen(a, n);
  const out = matrix(n, rank);
  for (let i = 0; i < n; i++) for (let j = 0; j < rank; j++) out.data[i * rank + j] = vectors[j * n + i];
  return out;
}

/** Block subspace iteration on K Kᵀ, built of products; a cold start oversamples and ends with a Rayleigh-Ritz step. */
async function subspaceIteration(engine: Engine, k: Matrix, { rank, warm, random }: RankSearch): Promise<Matrix> {
  const width = warm === null ? Math.min(k.rows, rank + OVERSAMPLING) : rank;
  let basis = warm ?? matrix(k.rows, width, normals(k.rows * width, random));
  let image = await engine.multiply(basis, k, { transposeA: true });
  let energy = 0;
  for (let step = 0; step < (warm === null ? COLD_STEPS : WARM_STEPS); step++) {
    basis = await orthonormal(engine, await engine.multiply(k, image, { transposeB: true }));
    image = await engine.multiply(basis, k, { transposeA: true });
    const captured = squaredNorm(image.data);
    if (captured - energy <= 1e-7 * captured) break;
    energy = captured;
  }
  if (width === rank) return basis;
  const small = await engine.multiply(image, image, { transposeB: true });
  return engine.multiply(basis, leadingColumns(Float64Array.from(small.data), width, rank));
}

export function squaredNorm(a: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * a[i];
  return sum;
}

/** Orthonormal columns with the span of `a`: Cholesky QR, twice, which is as orthogonal as Householder's. */
export async function orthonormal(engine: Engine, a: Matrix): Promise<Matrix> {
  let q = a;
  for (let pass = 0; pass < 2; pass++) {
    const n = q.cols;
    const gram = await engine.gram(q);
    const inverse = lowerSolveIdentity(shiftedCholesky(gram, n), n);
    q = await engine.multiply(q, matrix(n, n, Float32Array.from(inverse)), { transposeB: true });
  }
  return q;
}

/**
 * The factor of a Gram matrix that may be singular. Directions below single precision have no meaning; a shift keeps
 * the factorisation defined there. It is relative to each column, whose norms may differ by any amount, and grows until
 * it exceeds the rounding of the products, which itself grows with the number of rows.
 */
function shiftedCholesky(gram: Float64Array, n: number): Float64Array {
  let largest = 0;
  for (let i = 0; i < n; i++) largest = Math.max(largest, gram[i * n + i]);
  const floor = largest > 0 ? 1e-12 * largest : 1;
  for (let shift = FIRST_SHIFT; ; shift *= 10) {
    const shifted = Float64Array.from(gram);
    for (let i = 0; i < n; i++) {
      const diagonal = shifted[i * n + i];
      shifted[i * n + i] = diagonal + shift * Math.max(diagonal, floor);
    }
    try {
      return cholesky(shifted, n, 'Gram matrix of a subspace');
    } catch (error) {
      if (shift >= LAST_SHIFT) throw error;
    }
  }
}

/**
 * Orthonormal basis [n, size] of the leading right subspace of a [rows, n] by randomised subspace iteration (Halko,
 * Martinsson and Tropp 2011, algorithm 4.4).
 */
export async function leadingRightSubspace(
  engine: Engine,
  a: Matrix,
  size: number,
  random: () => number,
): Promise<Matrix> {
  const width = Math.min(a.cols, a.rows, size + OVERSAMPLING);
  let basis = matrix(a.cols, width, normals(a.cols * width, random));
  for (let step = 0; step < 3; step++) {
    const image = await orthonormal(engine, await engine.multiply(a, basis));
    basis = await orthonormal(engine, await engine.multiply(a, image, { transposeA: true }));
  }
  if (width <= size) return basis;
  const image = await engine.multiply(a, basis);
  const small = await engine.gram(image);
  return engine.multiply(basis, columnRange(leadingColumns(small, width, width), 0, size));
}
