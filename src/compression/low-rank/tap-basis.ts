import { matrix, rowsOf, type Engine, type Matrix } from '../../engines/index.js';
import { transposed } from '../linalg/columns.js';
import { cholesky, lowerSolveIdentity } from '../linalg/cholesky.js';
import { symmetricEigen } from '../linalg/eigen.js';
import type { ResponseMetric } from '../regression/response-metric.js';
import { normals } from '../linalg/random.js';
import { orthonormal } from '../regression/rank-step.js';
import type { SpaceRequest } from './shape-fit.js';

/**
 * A first convolution that is narrower than the layer's own applies the same few linear functionals at every tap. A
 * patch is read as `taps` vectors of `outer` numbers.
 */
export interface TapSplit {
  /** Numbers a functional acts on, such as the channels of a pixel. */
  outer: number;
  /** Places it is applied at. */
  taps: number;
}

/** Samples that the second moments are taken from; more change the subspace by less than its own truncation. */
const MAX_SAMPLES = 2048;
const OVERSAMPLING = 12;
const STEPS = 6;

export interface TapBasis {
  split: TapSplit;
  /** Functionals, most important first, orthonormal in the second moments of the inputs: [size, outer]. */
  functionals: Matrix;
  /** The original weights' coefficients on them: [m, taps * size], tap by tap. */
  prior: Matrix;
}

export interface TapBasisOptions {
  split: TapSplit;
  size: number;
  random: () => number;
  /** In which the response is kept; C weighs the rows of A. */
  metric?: ResponseMetric | null;
  /** Added to the second moment of every input. */
  lean?: number;
}

/**
 * The functionals that keep most of the layer's linear response. With A the weights unfolded to [m * taps, outer] and C
 * the second moments [outer, outer] of the inputs, the best rank-k approximation of A in the metric of C keeps the rows
 * Pᵀ A, P the leading eigenvectors of A C Aᵀ (a higher-order SVD, De Lathauwer et al. 2000, in the metric of the data).
 * Aᵀ P is the invariant subspace of AᵀA C, found here by subspace iteration, built of products.
 *
 * @param inputs [N, channels * taps]
 * @param weights [m, channels * taps]
 */
export async function tapBasis(
  engine: Engine,
  inputs: Matrix,
  weights: Matrix,
  { split, size, random, metric = null, lean = 0 }: TapBasisOptions,
): Promise<TapBasis> {
  const { outer } = split;
  const moments = await secondMoments(engine, inputs, split, lean);
  const unfoldedWeights = unfold(weights, split);
  const weighed =
    metric === null
      ? unfoldedWeights
      : unfold(await engine.multiply(metric.turn, weights, { transposeA: true }), split);
  const square = matrix(outer, outer, Float32Array.from(await engine.gram(weighed)));
  const width = Math.min(outer, size + OVERSAMPLING);
  let v = matrix(outer, width, normals(outer * width, random));
  for (let step = 0; step < STEPS; step++) {
    v = await orthonormal(engine, await engine.multiply(square, await engine.multiply(moments, v)));
  }
  // Rayleigh-Ritz in the metric of the moments.
  const image = await engine.multiply(moments, v);
  const whiten = await metricInverse(engine, v, image);
  const half = await engine.multiply(image, whiten, { transposeB: true });
  const small = await engine.multiply(half, await engine.multiply(square, half), { transposeA: true });
  const { vectors } = symmetricEigen(symmetric(small), width);
  const kept = Math.min(size, width);
  const rotation = matrix(kept, width, Float32Array.from(vectors.subarray(0, kept * width)));
  const functionals = await engine.multiply(await engine.multiply(rotation, whiten), v, { transposeB: true });
  // The functionals are orthonormal in the moments, so that their images are the coefficients.
  const coefficients = await engine.multiply(unfoldedWeights, await engine.multiply(functionals, moments), {
    transposeB: true,
  });
  return { split, functionals, prior: matrix(weights.rows, split.taps * kept, coefficients.data) };
}

/** Functionals that are known, with the original weights' coefficients on them in the metric of these inputs. */
export async function givenBasis(
  engine: Engine,
  inputs: Matrix,
  weights: Matrix,
  { split, data, lean }: { split: TapSplit; data: Float32Array; lean: number },
): Promise<TapBasis> {
  const size = data.length / split.outer;
  const functionals = matrix(size, split.outer, data);
  const projected = await engine.multiply(functionals, await secondMoments(engine, inputs, split, lean));
  const whiten = await metricInverse(engine, transposed(functionals), transposed(projected));
  const half = await engine.multiply(whiten, projected);
  const coefficients = await engine.multiply(
    await engine.multiply(unfold(weights, split), half, { transposeB: true }),
    whiten,
  );
  return { split, functionals, prior: matrix(weights.rows, split.taps * size, coefficients.data) };
}

/** The functionals of a part that is there already, its coefficients aside. */
export const givenFunctionals = (split: TapSplit, data: Float32Array, size: number): TapBasis => ({
  split,
  functionals: matrix(size, split.outer, data),
  prior: matrix(0, 0),
});

/**
 * Functionals for the wanted part, and what they give on its inputs, [N, taps * width].
 * @param known those to be kept, or null
 */
export async function tapVariables(
  { engine, layer: { inputs, weights }, random, metric, lean }: SpaceRequest,
  { split, width, known }: { split: TapSplit; width: number; known: Float32Array | null },
): Promise<{ basis: TapBasis; columns: Matrix }> {
  const basis = await (known === null
    ? tapBasis(engine, inputs, weights, { split, size: width, random, metric, lean })
    : givenBasis(engine, inputs, weights, { split, data: known, lean }));
  return { basis, columns: await tapColumns(engine, inputs, basis, width) };
}

/** Of the numbers that a functional acts on: [outer, outer]. */
async function secondMoments(engine: Engine, inputs: Matrix, split: TapSplit, lean: number): Promise<Matrix> {
  const stride = Math.max(1, Math.floor(inputs.rows / MAX_SAMPLES));
  const unfolded = unfold(everyNth(inputs, stride), split);
  const scale = 1 / unfolded.rows;
  const moments = Float32Array.from(await engine.gram(unfolded), (x) => x * scale);
  for (let i = 0; i < split.outer; i++) moments[i * (split.outer + 1)] = moments[i * (split.outer + 1)] + lean;
  return matrix(split.outer, split.outer, moments);
}

/** Columns [N, taps * size]: what the functionals give at every tap. */
export async function tapColumns(engine: Engine, inputs: Matrix, basis: TapBasis, size: number): Promise<Matrix> {
  const { split, functionals } = basis;
  const used = rowsOf(functionals, 0, size);
  const product = await engine.multiply(unfold(inputs, split), used, { transposeB: true });
  return matrix(inputs.rows, split.taps * size, product.data);
}

/** The dense weights [m, outer * taps] of coefficients [m, taps * size] on the functionals. */
export async function denseOf(engine: Engine, coefficients: Matrix, basis: TapBasis, size: number): Promise<Matrix> {
  const { outer, taps } = basis.split;
  const used = rowsOf(basis.functionals, 0, size);
  const rows = await engine.multiply(matrix(coefficients.rows * taps, size, coefficients.data), used);
  const out = matrix(coefficients.rows, outer * taps);
  for (let i = 0; i < coefficients.rows; i++) {
    for (let t = 0; t < taps; t++) {
      const from = (i * taps + t) * outer;
      for (let o = 0; o < outer; o++) out.data[i * out.cols + o * taps + t] = rows.data[from + o];
    }
  }
  return out;
}

/**
 * [rows, taps * size], tap by tap, to [rows, size * taps], the taps of a functional side by side: the order of weights.
 */
export function tapsInside(a: Matrix, taps: number): Float32Array {
  const size = a.cols / taps;
  const out = new Float32Array(a.data.length);
  for (let r = 0; r < a.rows; r++) {
    const row = r * a.cols;
    for (let t = 0; t < taps; t++) {
      for (let i = 0; i < size; i++) out[row + i * taps + t] = a.data[row + t * size + i];
    }
  }
  return out;
}

/** The inverse of `tapsInside`. */
export function tapsOutside(data: Float32Array, rows: number, taps: number): Matrix {
  const cols = data.length / rows;
  const size = cols / taps;
  const out = matrix(rows, cols);
  for (let r = 0; r < rows; r++) {
    const row = r * cols;
    for (let t = 0; t < taps; t++) {
      for (let i = 0; i < size; i++) out.data[row + t * size + i] = data[row + i * taps + t];
    }
  }
  return out;
}

/** [rows, outer * taps] to [rows * taps, outer]. */
export function unfold(a: Matrix, { outer, taps }: TapSplit): Matrix {
  if (taps === 1) return matrix(a.rows, outer, a.data);
  const out = matrix(a.rows * taps, outer);
  for (let r = 0; r < a.rows; r++) {
    const row = r * a.cols;
    for (let o = 0; o < outer; o++) {
      const from = row + o * taps;
      for (let t = 0; t < taps; t++) out.data[row + t * outer + o] = a.data[from + t];
    }
  }
  return out;
}

function everyNth(a: Matrix, stride: number): Matrix {
  if (stride === 1) return a;
  const rows = Math.floor(a.rows / stride);
  const out = matrix(rows, a.cols);
  for (let r = 0; r < rows; r++) {
    out.data.set(a.data.subarray(r * stride * a.cols, (r * stride + 1) * a.cols), r * a.cols);
  }
  return out;
}

/** W [k, k] with W (vᵀ C v) Wᵀ = I, for `image` = C v. */
async function metricInverse(engine: Engine, v: Matrix, image: Matrix): Promise<Matrix> {
  const k = v.cols;
  const gram = symmetric(await engine.multiply(v, image, { transposeA: true }));
  let largest = 0;
  for (let i = 0; i < k; i++) largest = Math.max(largest, gram[i * k + i]);
  for (let i = 0; i < k; i++) gram[i * k + i] = gram[i * k + i] + Math.max(1e-6 * largest, 1e-30);
  return matrix(k, k, Float32Array.from(lowerSolveIdentity(cholesky(gram, k, 'moments of a tap basis'), k)));
}

function symmetric({ data, rows: n }: Matrix): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) out[i * n + j] = (data[i * n + j] + data[j * n + i]) / 2;
  }
  return out;
}
