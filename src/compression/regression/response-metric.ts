import { matrix, type Matrix } from '../../engines/index.js';
import { cholesky, lowerSolveIdentity } from '../linalg/cholesky.js';

/** M = C Cᵀ with a ridge, as maps of rows of responses: `turn` = C, `back` = C⁻¹. || e turn ||² = e M eᵀ. */
export interface ResponseMetric {
  /** [m, m] */
  turn: Matrix;
  back: Matrix;
}

/** Of the mean of M's diagonal: what the calibration data say nothing of still counts. */
const RIDGE = 0.05;

/** @param metric [m, m], symmetric; null when it is zero or not finite */
export function responseMetric(metric: Float32Array | undefined): ResponseMetric | null {
  if (metric === undefined) return null;
  const m = Math.sqrt(metric.length);
  let trace = 0;
  for (let i = 0; i < m; i++) trace += metric[i * m + i];
  if (!Number.isFinite(trace) || trace <= 0) return null;
  const scale = m / trace;
  const a = new Float64Array(m * m);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < m; j++) a[i * m + j] = (scale * (metric[i * m + j] + metric[j * m + i])) / 2;
    a[i * m + i] = a[i * m + i] + RIDGE;
  }
  const factor = cholesky(a, m, 'metric of a response');
  return {
    turn: matrix(m, m, Float32Array.from(factor)),
    back: matrix(m, m, Float32Array.from(lowerSolveIdentity(factor, m))),
  };
}
