import { matrix, rowsOf, type Engine, type Matrix } from '../../engines/index.js';
import { LOW_RANK_SHAPES, type LowRankShape } from '../../models/low-rank/index.js';
import { columnRange } from '../linalg/columns.js';
import { leadingFit } from './leading-fit.js';
import { partialErrors, rankCurve, spectrum, type Measure } from '../regression/held-out.js';
import { roundingStep, steps } from '../low-rank/rank-grid.js';
import type { FirstConvolution } from '../low-rank/index.js';
import type { RankCurve } from './rank-curve.js';
import { denseOf, tapBasis, tapColumns, tapsInside, tapsOutside } from '../low-rank/tap-basis.js';

/** For the products of taps and width. */
const MAX_COLUMNS = 1440;
/**
 * Numbers that a functional may act on: a column of kh pixels of a wide layer has many, and those of one pixel are
 * better there.
 */
const MAX_OUTER = 1024;
/** A larger rank behind a narrow first convolution does not pay. */
const MAX_RANK = 192;
const RIDGE = 1e-3;

/** What a narrower input alone does to the layer: every later coefficient on it is free. */
export interface NarrowFits {
  widths: number[];
  /** Relative squared error after the activation, on held-out samples. */
  errors: number[];
  /** The dense weights and the bias of that fit. */
  dense(width: number): Promise<{ weights: Float32Array; bias: Float32Array }>;
}

/** Of a narrow first convolution. */
export interface TapFits extends NarrowFits {
  shape: LowRankShape;
}

export interface TapStatistics {
  fits: TapFits;
  curves: RankCurve[];
}

export interface TapData {
  /** [N, d], and the centred response [N, m] without the bias. */
  train: Matrix;
  response: Matrix;
  /** Held-out inputs. */
  test: Matrix;
  /** [m, d] */
  weights: Matrix;
  measure: Measure;
}

/**
 * Curves of the shapes with a first convolution of its own. Its functionals are ordered by importance and the variables
 * are ordered by functional, so that one Cholesky factor serves every width: leading blocks of the factor, of its
 * inverse and of the whitened regression are those of the narrower ones.
 */
export async function tapStatistics(
  engine: Engine,
  { shape, first }: { shape: LowRankShape; first: FirstConvolution },
  { train, response, test, weights, measure }: TapData,
  random: () => number,
): Promise<TapStatistics | null> {
  const { problem } = measure;
  const tapsSplit = first.split(problem);
  const { outer, taps } = tapsSplit;
  const m = weights.rows;
  const limit = Math.min(outer - 1, Math.floor(MAX_COLUMNS / taps), Math.floor(train.rows / (2 * taps)));
  const allowed = first
    .widths(m, limit)
    .filter((width) => width <= limit && width % roundingStep(Math.min(outer, m)) === 0);
  const widest = allowed.at(-1);
  if (widest === undefined || outer > MAX_OUTER) return null;
  const basis = await tapBasis(engine, train, weights, {
    split: tapsSplit,
    size: widest,
    random,
    metric: measure.metric,
  });
  const n = widest * taps;
  const columns = async (inputs: Matrix): Promise<Matrix> =>
    matrix(inputs.rows, n, tapsInside(await tapColumns(engine, inputs, basis, widest), taps));
  const prior = matrix(m, n, tapsInside(basis.prior, taps));
  const { scores, terms, on } = await leadingFit(engine, {
    ...{ train: await columns(train), response, test: await columns(test), prior, ridge: RIDGE },
    offset: measure.offset,
  });
  const counts = allowed.map((width) => width * taps);
  const errors = await partialErrors(engine, measure, { scores, terms, explained: null, counts });
  const fits: TapFits = {
    shape,
    widths: allowed,
    errors,
    dense: async (width) => {
      const { coefficients, bias } = on(width * taps);
      const outside = tapsOutside(coefficients, m, taps);
      return { weights: (await denseOf(engine, outside, basis, width)).data, bias };
    },
  };
  if (LOW_RANK_SHAPES[shape].narrows === 'input')
    return { fits, curves: [{ shape, inner: 0, groups: 0, ranks: allowed, errors }] };

  const curves: RankCurve[] = [];
  for (const inner of allowed) {
    const size = inner * taps;
    const ranks = steps(roundingStep(m), Math.min(MAX_RANK, m - 1, size - 1));
    if (ranks.length === 0) continue;
    const leading = rowsOf(terms, 0, size);
    const values = await spectrum(engine, leading, { limit: ranks.at(-1) ?? 0, random, metric: measure.metric });
    const predicted = await engine.multiply(columnRange(scores, 0, size), leading);
    curves.push({
      shape,
      inner,
      groups: 0,
      ...(await rankCurve(engine, measure, { predicted, explained: null, spectrum: values, ranks })),
    });
  }
  return { fits, curves };
}
