import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import { centered, columnRange, transposed } from '../linalg/columns.js';
import { columns64, multiply64 } from '../linalg/dense.js';
import { whitenedFeatures } from '../regression/features.js';

/** Regression on variables in the order of their importance: one Cholesky factor serves every number of leading ones. */
export interface LeadingFit {
  /** Whitened variables of the held-out samples, [rows, n]. */
  scores: Matrix;
  /** [n, m]: what a score of 1 adds to the response. */
  terms: Matrix;
  /** Coefficients [m, count] of the fit on the leading variables as they came, and the bias [m] that goes with them. */
  on: (count: number) => { coefficients: Float32Array; bias: Float32Array };
}

export interface LeadingRequest {
  /** Variables [N, n], and the centred response [N, m]. */
  train: Matrix;
  response: Matrix;
  /** Variables of the held-out samples. */
  test: Matrix;
  /** Coefficients [m, n] that the ridge pulls towards; its strength is relative to each variable's variance. */
  prior: Matrix;
  ridge: number;
  /** [m]: mean of the response, the bias with it. */
  offset: Float64Array;
}

/** Leading blocks of the factor, of its inverse and of the whitened regression are those of fewer variables. */
export async function leadingFit(
  engine: Engine,
  { train, response, test, prior, ridge, offset }: LeadingRequest,
): Promise<LeadingFit> {
  const n = train.cols;
  const m = response.cols;
  const features = await whitenedFeatures(engine, train, { free: n, prior, ridge });
  const k = await engine.multiply(response, features.held, { transposeA: true });
  features.held.dispose();
  for (let i = 0; i < k.data.length; i++) k.data[i] = k.data[i] / train.rows + features.pull[i];
  const inverse = matrix(n, n, Float32Array.from(features.whiten));
  const scores = await engine.multiply(centered(test, features.mean), inverse, { transposeB: true });
  const on = (count: number) => {
    const leading = columns64(features.whiten.subarray(0, count * n), { rows: count, cols: n, begin: 0, end: count });
    const own = multiply64(Float64Array.from(columnRange(k, 0, count).data), leading, {
      rows: m,
      inner: count,
      cols: count,
    });
    const bias = new Float32Array(m);
    for (let i = 0; i < m; i++) {
      let value = offset[i];
      for (let j = 0; j < count; j++) value -= own[i * count + j] * features.mean[j];
      bias[i] = value;
    }
    return { coefficients: Float32Array.from(own), bias };
  };
  return { scores, terms: transposed(k), on };
}
