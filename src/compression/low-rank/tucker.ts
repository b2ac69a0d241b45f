import { matrix } from '../../engines/index.js';
import { identityMatrix } from '../regression/rank-step.js';
import type { FirstConvolution, ShapeFit } from './shape-fit.js';
import { denseOf, givenFunctionals, tapColumns, tapsInside, tapsOutside, tapVariables } from './tap-basis.js';

/** Of the first convolution. */
const WIDTHS = [4, 8, 16, 24, 32, 48, 64, 80, 96, 128, 160];

const firstConvolution: FirstConvolution = {
  split: ({ channels, taps }) => ({ outer: channels, taps }),
  widths: () => WIDTHS,
};

/** The functionals act on the channels of a pixel; the rank limits what is made of what they give at all taps. */
export const tucker: ShapeFit = {
  firstConvolution,

  async space(request) {
    const width = request.size.inner;
    const split = firstConvolution.split(request.patch);
    const { basis, columns } = await tapVariables(request, { split, width, known: request.keep?.basis ?? null });
    return {
      columns,
      prior: basis.prior,
      onInputs: () => denseOf(request.engine, identityMatrix(columns.cols), basis, width),
      limited: true,
      factors: (left, right) => {
        if (right === null) throw new RangeError('a tucker part has two factors beside its basis');
        const q = tapsInside(right, split.taps);
        const { data } = basis.functionals;
        return Promise.resolve({ shape: 'tucker', rank: left.cols, inner: width, basis: data, q, p: left.data });
      },
    };
  },

  async lastFactor({ engine, part, inputs, patch }) {
    const { rank, inner, basis, q, p } = part;
    if (basis === null) throw new RangeError('a tucker part without its basis');
    const split = firstConvolution.split(patch);
    const z = await tapColumns(engine, inputs, givenFunctionals(split, basis, inner), inner);
    const columns = await engine.multiply(z, tapsOutside(q, rank, split.taps), { transposeB: true });
    return {
      columns,
      coefficients: matrix(p.length / rank, rank, p),
      restore: ({ data }) => ({ ...part, p: data }),
    };
  },
};
