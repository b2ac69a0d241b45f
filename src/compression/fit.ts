import { matrix, type Engine, type Matrix } from '../engines/index.js';
import { addToRows, columnMeans, columnRange, difference } from './columns.js';
import { addInto, scaleAndAdd } from './elementwise.js';
import type { Features } from './features.js';
import { rankStep, type RankFactors } from './rank-step.js';

/** A least-squares fit in whitened coordinates, and what it predicts at the samples. */
export interface Fit {
  /** [m, free] */
  freePart: Matrix;
  lowRank: RankFactors | null;
  /** Mean of the prediction. */
  mean: Float64Array;
  /** [N, m] */
  prediction: Matrix;
}

/**
 * Exact joint step of the sparse part, the low-rank part and the bias: least squares of `target` [N, m] on the features, the
 * coefficients of the not free ones limited to `rank`.
 */
export async function leastSquares(
  engine: Engine,
  features: Features,
  target: Matrix,
  rank: number,
  warm: Matrix | null,
  random: () => number,
): Promise<Fit> {
  const { n, free, skip } = features;
  const wanted = skip === undefined ? target : difference(target, skip);
  const k = await engine.multiply(wanted, features.held, { a: true });
  scaleAndAdd(k, wanted.rows, features.pull);
  const freePart = columnRange(k, 0, free);
  const limited = n > free && rank > 0;
  const lowRank = limited ? await rankStep(engine, columnRange(k, free, n), rank, warm, random) : null;
  const mean = columnMeans(wanted);
  const prediction = addToRows(await predict(engine, features, freePart, lowRank), mean);
  if (skip !== undefined) addInto(prediction.data, skip.data, prediction.data);
  return { freePart, lowRank, mean, prediction };
}

async function predict(
  engine: Engine,
  features: Features,
  freePart: Matrix,
  lowRank: RankFactors | null,
): Promise<Matrix> {
  const { n, free, held } = features;
  const m = freePart.rows;
  if (lowRank !== null && free === 0 && lowRank.left.cols * (m + n) < m * n) {
    const projected = await engine.multiply(held, lowRank.right, { b: true });
    return engine.multiply(projected, lowRank.left, { b: true });
  }
  const low = lowRank === null ? null : await engine.multiply(lowRank.left, lowRank.right);
  const coefficients = matrix(m, n);
  for (let i = 0; i < m; i++) {
    coefficients.data.set(freePart.data.subarray(i * free, (i + 1) * free), i * n);
    if (low !== null) coefficients.data.set(low.data.subarray(i * low.cols, (i + 1) * low.cols), i * n + free);
  }
  return engine.multiply(held, coefficients, { b: true });
}
