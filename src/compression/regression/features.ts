import { matrix, type Engine, type Matrix, type Resident } from '../../engines/index.js';
import { centered, columnMeans } from '../linalg/columns.js';
import type { MaskedPart } from './masked-step.js';
import type { ResponseMetric } from './response-metric.js';
import { cholesky, lowerSolveIdentity } from '../linalg/cholesky.js';

/** Centred columns E [N, n], their means and EᵀE / N [n, n]: what no ridge changes. */
export interface Columns {
  centred: Matrix;
  mean: Float64Array;
  gram: Float64Array;
}

/** How columns are whitened. */
export interface Whitening {
  n: number;
  /** Leading columns without a rank limit: the sparse part. */
  free: number;
  /** Means of the raw columns. */
  mean: Float64Array;
  /** C⁻¹, lower triangular [n, n]. */
  whiten: Float64Array;
  /** [m, n] */
  pull: Float32Array;
}

/**
 * The variables a layer is regressed on, whitened once so that every later least-squares step is one product.
 *
 * With E [N, n] the centred raw columns and G = EᵀE/N + ridge D = C Cᵀ (Cholesky), `psi` = E C⁻ᵀ. The regression of a
 * target T on E, with a ridge that pulls the coefficients towards `prior`, is then K C⁻¹ with K = Tᵀ psi / N + `pull`.
 * Because C is triangular, the first `free` whitened columns span the first `free` raw ones, and the rest is orthogonal
 * to them: a rank limit on the coefficients of the rest alone is imposed exactly by truncating that part of K.
 */
export interface Features extends Whitening {
  /** Whitened columns [N, n], for the host and for the engine. */
  psi: Matrix;
  held: Resident;
  /** [N, m]: added to every prediction as it is. */
  skip?: Matrix | undefined;
  /** What a limited rank keeps is chosen in this metric. */
  metric?: ResponseMetric | null;
  /** A sparse part whose outputs see different inputs; fitted in turn with the rest. */
  masked?: MaskedPart | undefined;
}

/** A second ridge, in the metric of the inputs that the columns were made of. */
export interface Lean {
  /** [n, n]: what the squares and products of coefficients cost. */
  penalty: Matrix;
  /** [m, n]: the coefficients that cost nothing, times `penalty`. */
  toward: Matrix;
}

export interface WhitenOptions {
  free: number;
  /** [m, n] coefficients that the ridge pulls towards. */
  prior: Matrix;
  /** Strength relative to each column's variance. */
  ridge: number;
  lean?: Lean | null;
}

/**
 * @param raw [N, n]
 */
export async function whitenedFeatures(engine: Engine, raw: Matrix, options: WhitenOptions): Promise<Features> {
  const columns = await columnsOf(engine, raw);
  const { inverse, ...whitening } = await whiteningOf(engine, columns, options);
  const psi = await engine.multiply(columns.centred, inverse, { transposeB: true });
  return { ...whitening, psi, held: engine.hold(psi) };
}

/** @param raw [N, n] */
export async function columnsOf(engine: Engine, raw: Matrix): Promise<Columns> {
  const mean = columnMeans(raw);
  const centred = centered(raw, mean);
  const gram = await engine.gram(centred);
  for (let i = 0; i < gram.length; i++) gram[i] = gram[i] / raw.rows;
  return { centred, mean, gram };
}

/** @returns `inverse`: C⁻¹ in single precision, for products */
export async function whiteningOf(
  engine: Engine,
  { centred, mean, gram: unpenalized }: Columns,
  { free, prior, ridge, lean = null }: WhitenOptions,
): Promise<Whitening & { inverse: Matrix }> {
  const n = centred.cols;
  const gram = Float64Array.from(unpenalized);
  if (lean !== null) for (let i = 0; i < gram.length; i++) gram[i] = gram[i] + lean.penalty.data[i];
  const penalties = addRidge(gram, n, ridge);
  const whiten = lowerSolveIdentity(cholesky(gram, n, 'Gram matrix of the layer inputs'), n);
  const inverse = matrix(n, n, Float32Array.from(whiten));
  const weighted = columnsTimes(prior, penalties);
  if (lean !== null)
    for (let i = 0; i < weighted.data.length; i++) weighted.data[i] = weighted.data[i] + lean.toward.data[i];
  const pull = (await engine.multiply(weighted, inverse, { transposeB: true })).data;
  return { n, free, mean, whiten, pull, inverse };
}

/** No variables but the mean. */
export function noFeatures(rows: number): Features {
  const psi = matrix(rows, 0);
  const held: Resident = { rows, cols: 0, dispose: () => undefined };
  const none = new Float64Array(0);
  return { n: 0, free: 0, psi, held, mean: none, whiten: none, pull: new Float32Array(0) };
}

/** gram = gram + ridge D, in place. Returns the diagonal of ridge D. */
function addRidge(gram: Float64Array, n: number, ridge: number): Float64Array {
  let largest = 0;
  for (let i = 0; i < n; i++) largest = Math.max(largest, gram[i * n + i]);
  // A dead column (constant input) has no variance: the floor keeps its coefficient at the prior.
  const floor = largest > 0 ? 1e-6 * largest : 1;
  const penalties = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    penalties[i] = ridge * Math.max(gram[i * n + i], floor);
    gram[i * n + i] = gram[i * n + i] + penalties[i];
  }
  return penalties;
}

/** a diag(factors) */
function columnsTimes(a: Matrix, factors: Float64Array): Matrix {
  const out = matrix(a.rows, a.cols);
  for (let r = 0, i = 0; r < a.rows; r++) {
    for (let c = 0; c < a.cols; c++, i++) out.data[i] = a.data[i] * factors[c];
  }
  return out;
}
