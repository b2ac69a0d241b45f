import { roundingStep, steps } from './rank-grid.js';
import { identityMatrix } from '../regression/rank-step.js';
import type { FirstConvolution, ShapeFit } from './shape-fit.js';
import { denseOf, givenFunctionals, tapColumns, tapsInside, tapsOutside, tapVariables } from './tap-basis.js';

const MAX_RANK = 128;

const firstConvolution: FirstConvolution = {
  split: ({ channels, taps, lastAxis }) => {
    if (lastAxis === undefined) throw new RangeError('a spatial low-rank part needs a kernel of two axes');
    return { outer: (channels * taps) / lastAxis, taps: lastAxis };
  },
  widths: (outputs, limit) => steps(roundingStep(outputs), Math.min(limit, outputs - 1, MAX_RANK)),
};

/** The functionals act on a column of kh pixels; their number is the rank, and every coefficient on them is free. */
export const spatial: ShapeFit = {
  firstConvolution,

  async space(request) {
    const width = request.size.rank;
    const split = firstConvolution.split(request.patch);
    const known = request.keep?.shape === 'spatial' ? request.keep.q : null;
    const { basis, columns } = await tapVariables(request, { split, width, known });
    return {
      columns,
      prior: basis.prior,
      onInputs: () => denseOf(request.engine, identityMatrix(columns.cols), basis, width),
      limited: false,
      factors: (left) => {
        const p = tapsInside(left, split.taps);
        const { data: q } = basis.functionals;
        return Promise.resolve({ shape: 'spatial', rank: width, inner: 0, basis: null, q, p });
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
};
