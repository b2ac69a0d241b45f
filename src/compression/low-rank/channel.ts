import { matrix, type Matrix } from '../../engines/index.js';
import { identityMatrix, leadingRightSubspace } from '../regression/rank-step.js';
import { responseSpan } from '../regression/response-span.js';
import type { ShapeFit } from './shape-fit.js';

/** More variables than this are reduced to their leading principal subspace: a Cholesky of 1,024 takes 0.2 s. */
const MAX_VARIABLES = 1024;

/**
 * The columns are the layer's own response W0 x, so that L = M W0 (`response`, cheap and well determined), or the
 * inputs themselves, so that any L is possible (`inputs`).
 */
export const channel: ShapeFit = {
  firstConvolution: null,

  async space({ engine, layer: { inputs, weights, response }, kind, random }) {
    const limit = Math.max(1, Math.min(MAX_VARIABLES, inputs.rows - 1));
    const original = kind === 'response' ? response : inputs;
    const span = kind === 'response' ? await responseSpan(engine, weights) : null;
    const basis = span ?? (original.cols > limit ? await leadingRightSubspace(engine, original, limit, random) : null);
    const columns = basis === null ? original : await engine.multiply(original, basis);
    /** right [k, v] as rows on the inputs [k, d]. */
    const onInputs = async (right: Matrix): Promise<Matrix> => {
      const wide = basis === null ? right : await engine.multiply(right, basis, { transposeB: true });
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
      onInputs: () => onInputs(identityMatrix(columns.cols)),
      limited: true,
      factors: async (left, right) => {
        if (right === null) throw new RangeError('a channel part has two factors');
        const q = await onInputs(right);
        return { shape: 'channel', rank: left.cols, inner: 0, basis: null, q: q.data, p: left.data };
      },
    };
  },

  async lastFactor({ engine, part, inputs }) {
    const { rank, q, p } = part;
    const columns = await engine.multiply(inputs, matrix(rank, inputs.cols, q), { transposeB: true });
    return {
      columns,
      coefficients: matrix(p.length / rank, rank, p),
      restore: ({ data }) => ({ ...part, p: data }),
    };
  },
};
