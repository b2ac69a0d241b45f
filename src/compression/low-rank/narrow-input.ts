import type { LowRankShape } from '../../models/low-rank/index.js';
import { identityMatrix } from '../regression/rank-step.js';
import type { FirstConvolution, ShapeFit } from './shape-fit.js';
import { denseOf, givenFunctionals, tapColumns, tapsInside, tapsOutside, tapVariables } from './tap-basis.js';

/**
 * The fit of a shape of two convolutions whose first one is narrow: its functionals are as many as the rank, and every
 * coefficient on them is free. `q` is [rank, outer], `p` [m, rank * taps], by the split of the first convolution.
 */
export const narrowInput = (shape: LowRankShape, firstConvolution: FirstConvolution): ShapeFit => ({
  firstConvolution,

  async space(request) {
    const width = request.size.rank;
    const split = firstConvolution.split(request.patch);
    const known = request.keep?.shape === shape ? request.keep.q : null;
    const { basis, columns } = await tapVariables(request, { split, width, known });
    return {
      columns,
      prior: basis.prior,
      onInputs: () => denseOf(request.engine, identityMatrix(columns.cols), basis, width),
      limited: false,
      factors: (left) => {
        const p = tapsInside(left, split.taps);
        const { data: q } = basis.functionals;
        return Promise.resolve({ shape, rank: width, inner: 0, basis: null, q, p });
      },
    };
  },

  async lastFactor({ engine, part, inputs, patch }) {
    const { rank, q, p } = part;
    const split = firstConvolution.split(patch);
    const columns = await tapColumns(engine, inputs, givenFunctionals(split, q, rank), rank);
    return {
      columns,
      coefficients: tapsOutside(p, p.length / (rank * split.taps), split.taps),
      restore: (coefficients) => ({ ...part, p: tapsInside(coefficients, split.taps) }),
    };
  },
});
