import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import { addToRows, columnMeans, columnRange, difference } from '../linalg/columns.js';
import { addInto, scaleAndAdd } from '../activations/elementwise.js';
import type { Columns, Features, Whitening } from './features.js';
import type { ResponseMetric } from './response-metric.js';
import { maskedRegression, type MaskedPart } from './masked-step.js';
import { rankStep, type RankFactors, type RankSearch } from './rank-step.js';

/** A least-squares fit in whitened coordinates. */
export interface Coefficients {
  /** [m, free] */
  freePart: Matrix;
  lowRank: RankFactors | null;
  /** Mean of the prediction. */
  mean: Float64Array;
}

/** And what it predicts at the samples. */
export interface Fit extends Coefficients {
  /** Where the next, similar fit begins its search for the low-rank part's span. */
  warm: Matrix | null;
  /** Coefficients [m, d] of a masked sparse part. */
  masked?: Matrix;
  /** [N, m] */
  prediction: Matrix;
}

/**
 * Exact joint step of the sparse part, the low-rank part and the bias: least squares of `target` [N, m] on the
 * features, the coefficients of the not free ones limited to `rank`.
 */
export function leastSquares(
  engine: Engine,
  features: Features,
  target: Matrix,
  { rank, warm, random }: RankSearch,
): Promise<Fit> {
  return features.masked === undefined
    ? jointFit(engine, features, target, { rank, warm, random, without: [] })
    : alternatingFit(engine, features, features.masked, { target, rank, warm, random });
}

/** What a regression reads of its target T [N, m], once for every ridge: Tᵀ E [m, n] and the means. */
export interface Targets {
  cross: Matrix;
  mean: Float64Array;
  rows: number;
}

/** @param target [N, m], without what a skip branch adds */
export async function targetsOf(engine: Engine, { centred }: Columns, target: Matrix): Promise<Targets> {
  const cross = await engine.multiply(target, centred, { transposeA: true });
  return { cross, mean: columnMeans(target), rows: target.rows };
}

/** The same coefficients as `leastSquares` finds, of the products alone: no samples are gone through. */
export async function coefficientsOf(
  engine: Engine,
  whitening: Whitening & { inverse: Matrix; metric?: ResponseMetric | null },
  { cross, mean, rows }: Targets,
  { rank, random }: Pick<RankSearch, 'rank' | 'random'>,
): Promise<Coefficients> {
  const k = await engine.multiply(cross, whitening.inverse, { transposeB: true });
  scaleAndAdd(k, rows, whitening.pull);
  const { freePart, lowRank } = await partsOf(engine, whitening, k, { rank, warm: null, random });
  return { freePart, lowRank, mean };
}

/** Sweeps over both parts, and iterations of the regression in each: the next step goes on where this one ended. */
const SWEEPS = 2;
const ITERATIONS = 6;

/**
 * A masked S and the rest in turn, each exact up to its iterations, from the last S. Rows that belong to S as a whole
 * are no concern of the rest, and one sweep is the joint solution.
 */
async function alternatingFit(
  engine: Engine,
  features: Features,
  masked: MaskedPart,
  { target, rank, warm, random }: { target: Matrix; rank: number; warm: Matrix | null; random: () => number },
): Promise<Fit> {
  const { inputs } = masked;
  const response = (w: Matrix) => engine.multiply(inputs.held, w, { transposeB: true });
  let weights = masked.warm;
  let sparse = await response(weights);
  for (let sweep = 0; ; sweep++) {
    const fit = await jointFit(engine, features, difference(target, sparse), {
      rank,
      warm,
      random,
      without: masked.rows,
    });
    weights = await maskedRegression(
      engine,
      { ...masked, warm: weights },
      difference(target, fit.prediction),
      ITERATIONS,
    );
    sparse = await response(weights);
    if (sweep + 1 < SWEEPS && masked.rows.length === 0) continue;
    masked.warm = weights;
    const prediction = matrix(target.rows, target.cols);
    addInto(fit.prediction.data, sparse.data, prediction.data);
    return { ...fit, masked: weights, prediction };
  }
}

/** @param without outputs whose coefficients stay zero */
async function jointFit(
  engine: Engine,
  features: Features,
  target: Matrix,
  {
    rank,
    warm,
    random,
    without,
  }: { rank: number; warm: Matrix | null; random: () => number; without: readonly number[] },
): Promise<Fit> {
  const { n, skip } = features;
  const wanted = skip === undefined ? target : difference(target, skip);
  if (n === 0) {
    const mean = columnMeans(wanted);
    const prediction = addToRows(matrix(wanted.rows, wanted.cols), mean);
    if (skip !== undefined) addInto(prediction.data, skip.data, prediction.data);
    return { freePart: matrix(wanted.cols, 0), lowRank: null, warm: null, mean, prediction };
  }
  const k = await engine.multiply(wanted, features.held, { transposeA: true });
  scaleAndAdd(k, wanted.rows, features.pull);
  for (const row of without) k.data.fill(0, row * n, (row + 1) * n);
  const { freePart, lowRank, span } = await partsOf(engine, features, k, { rank, warm, random });
  const mean = columnMeans(wanted);
  const prediction = addToRows(await predict(engine, features, freePart, lowRank), mean);
  if (skip !== undefined) addInto(prediction.data, skip.data, prediction.data);
  return { freePart, lowRank, warm: span, mean, prediction };
}

/** Coefficients K [m, n] as they are where they are free, and of limited rank behind. */
async function partsOf(
  engine: Engine,
  { n, free, metric }: Pick<Features, 'n' | 'free' | 'metric'>,
  k: Matrix,
  search: RankSearch,
): Promise<{ freePart: Matrix; lowRank: RankFactors | null; span: Matrix | null }> {
  const freePart = columnRange(k, 0, free);
  if (n === free || search.rank === 0) return { freePart, lowRank: null, span: null };
  return { freePart, ...(await limitedPart(engine, metric, columnRange(k, free, n), search)) };
}

/** The best coefficients [m, n] of limited rank, in a metric. */
async function limitedPart(
  engine: Engine,
  metric: ResponseMetric | null | undefined,
  k: Matrix,
  { rank, warm, random }: RankSearch,
): Promise<{ lowRank: RankFactors; span: Matrix }> {
  if (metric == null) {
    const lowRank = await rankStep(engine, k, { rank, warm, random });
    return { lowRank, span: lowRank.left };
  }
  const turned = await rankStep(engine, await engine.multiply(metric.turn, k, { transposeA: true }), {
    rank,
    warm,
    random,
  });
  const left = await engine.multiply(metric.back, turned.left, { transposeA: true });
  return { lowRank: { left, right: turned.right }, span: turned.left };
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
    const projected = await engine.multiply(held, lowRank.right, { transposeB: true });
    return engine.multiply(projected, lowRank.left, { transposeB: true });
  }
  const low = lowRank === null ? null : await engine.multiply(lowRank.left, lowRank.right);
  const coefficients = matrix(m, n);
  for (let i = 0; i < m; i++) {
    coefficients.data.set(freePart.data.subarray(i * free, (i + 1) * free), i * n);
    if (low !== null) coefficients.data.set(low.data.subarray(i * low.cols, (i + 1) * low.cols), i * n + free);
  }
  return engine.multiply(held, coefficients, { transposeB: true });
}
