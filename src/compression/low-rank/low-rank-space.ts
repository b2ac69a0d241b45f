import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import type { LayerSize, LowRank } from '../../models/layer.js';
import type { LayerProblem } from '../problem.js';
import { identityMatrix, leadingRightSubspace } from '../regression/rank-step.js';
import type { ResponseMetric } from '../regression/response-metric.js';
import { responseSpan } from '../regression/response-span.js';
import { givenBasis, tapBasis, tapColumns, tapsInside, tapSplit, tapsOutside, type TapBasis } from './tap-basis.js';

/** More variables than this are reduced to their leading principal subspace: a Cholesky of 1,024 takes 0.2 s. */
const MAX_VARIABLES = 1024;

/** Columns [N, v] that the low-rank part acts on, and the coefficients of the original layer on them. */
export interface LowRankSpace {
  columns: Matrix;
  /** [m, v] */
  prior: Matrix;
  /** Whether the rank limits the coefficients; else the number of columns already does. */
  limited: boolean;
  /** The factors of coefficients `left` [m, k] `right` [k, v], or of unlimited ones: `left` [m, v] and no `right`. */
  factors(left: Matrix, right: Matrix | null): Promise<LowRank>;
}

export interface LayerMatrices {
  /** [N, d] */
  inputs: Matrix;
  /** [m, d] */
  weights: Matrix;
  /** [N, m]: weights applied to the inputs. */
  response: Matrix;
}

/**
 * `channel`: the columns are the layer's own response W0 x, so that L = M W0 (`response`, cheap and well determined), or the
 * inputs themselves, so that any L is possible (`inputs`). `tucker` and `spatial`: what the functionals of the first
 * convolution give at every tap.
 *
 * @param keep a low-rank part of the same size, whose functionals are taken
 */
export async function lowRankSpace(
  engine: Engine,
  kind: 'response' | 'inputs',
  size: LayerSize,
  layer: LayerMatrices,
  problem: LayerProblem,
  random: () => number,
  metric: ResponseMetric | null = null,
  keep: LowRank | null = null,
): Promise<LowRankSpace> {
  const { inputs, weights } = layer;
  if (size.rank === 0) {
    return {
      columns: matrix(inputs.rows, 0),
      prior: matrix(weights.rows, 0),
      limited: true,
      factors: () => Promise.reject(new RangeError('a low-rank part of rank 0')),
    };
  }
  if (size.shape === 'channel') return channelSpace(engine, kind, layer, random);
  const width = size.shape === 'tucker' ? size.inner : size.rank;
  const split = tapSplit(size.shape, problem);
  const kept = keep?.shape === 'spatial' ? keep.q : keep?.basis;
  const basis = await (kept == null
    ? tapBasis(engine, inputs, weights, split, width, random, metric)
    : givenBasis(engine, inputs, weights, split, kept));
  const columns = await tapColumns(engine, inputs, basis, width);
  const { prior, functionals } = basis;
  if (size.shape === 'spatial') {
    const factors = (left: Matrix): Promise<LowRank> => {
      const p = tapsInside(left, basis.split.taps);
      return Promise.resolve({ shape: 'spatial', rank: width, inner: 0, basis: null, q: functionals.data, p });
    };
    return { columns, prior, limited: false, factors };
  }
  const factors = (left: Matrix, right: Matrix | null): Promise<LowRank> => {
    if (right === null) throw new RangeError('a tucker part has two factors beside its basis');
    const q = tapsInside(right, basis.split.taps);
    return Promise.resolve({
      shape: 'tucker',
      rank: left.cols,
      inner: width,
      basis: functionals.data,
      q,
      p: left.data,
    });
  };
  return { columns, prior, limited: true, factors };
}

async function channelSpace(
  engine: Engine,
  kind: 'response' | 'inputs',
  { inputs, weights, response }: LayerMatrices,
  random: () => number,
): Promise<LowRankSpace> {
  const limit = Math.max(1, Math.min(MAX_VARIABLES, inputs.rows - 1));
  const original = kind === 'response' ? response : inputs;
  const span = kind === 'response' ? await responseSpan(engine, weights) : null;
  const basis = span ?? (original.cols > limit ? await leadingRightSubspace(engine, original, limit, random) : null);
  const columns = basis === null ? original : await engine.multiply(original, basis);
  /** right [k, v] as rows on the inputs [k, d]. */
  const onInputs = async (right: Matrix): Promise<Matrix> => {
    const wide = basis === null ? right : await engine.multiply(right, basis, { b: true });
    return kind === 'response' ? engine.multiply(wide, weights) : wide;
  };
  const prior =
    kind === 'response'
      ? (basis ?? identityMatrix(weights.rows))
      : basis === null
        ? weights
        : await engine.multiply(weights, basis);
  return {
    columns,
    prior,
    limited: true,
    factors: async (left, right) => {
      const q = right === null ? null : await onInputs(right);
      if (q === null) throw new RangeError('a channel part has two factors');
      return { shape: 'channel', rank: left.cols, inner: 0, basis: null, q: q.data, p: left.data };
    },
  };
}

/** Columns [N, v] and coefficients [m, v] whose product is the low-rank part's response; the coefficients are `p`, tap by tap. */
export async function lastFactor(
  engine: Engine,
  lowRank: LowRank,
  inputs: Matrix,
  problem: Pick<LayerProblem, 'channels' | 'taps' | 'lastAxis'>,
): Promise<{ columns: Matrix; coefficients: Matrix; restore: (coefficients: Matrix) => LowRank }> {
  const { shape, rank, inner, basis, q, p } = lowRank;
  if (shape === 'channel') {
    const columns = await engine.multiply(inputs, matrix(rank, inputs.cols, q), { b: true });
    return {
      columns,
      coefficients: matrix(p.length / rank, rank, p),
      restore: ({ data }) => ({ ...lowRank, p: data }),
    };
  }
  const split = tapSplit(shape, problem);
  const functionals = (data: Float32Array, size: number): TapBasis => ({
    split,
    functionals: matrix(size, split.outer, data),
    prior: matrix(0, 0),
  });
  if (shape === 'spatial') {
    const columns = await tapColumns(engine, inputs, functionals(q, rank), rank);
    const m = p.length / (rank * split.taps);
    return {
      columns,
      coefficients: tapsOutside(p, m, split.taps),
      restore: (coefficients) => ({ ...lowRank, p: tapsInside(coefficients, split.taps) }),
    };
  }
  if (basis === null) throw new RangeError('a tucker part without its basis');
  const z = await tapColumns(engine, inputs, functionals(basis, inner), inner);
  const columns = await engine.multiply(z, tapsOutside(q, rank, split.taps), { b: true });
  return { columns, coefficients: matrix(p.length / rank, rank, p), restore: ({ data }) => ({ ...lowRank, p: data }) };
}
