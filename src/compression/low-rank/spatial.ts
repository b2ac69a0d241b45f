import { narrowInput } from './narrow-input.js';
import { roundingStep, steps } from './rank-grid.js';

const MAX_RANK = 128;

/** The functionals act on a column of kh pixels; their number is the rank, and every coefficient on them is free. */
export const spatial = narrowInput('spatial', {
  split: ({ channels, taps, lastAxis }) => {
    if (lastAxis === undefined) throw new RangeError('a spatial low-rank part needs a kernel of two axes');
    return { outer: (channels * taps) / lastAxis, taps: lastAxis };
  },
  widths: (outputs, limit) => steps(roundingStep(outputs), Math.min(limit, outputs - 1, MAX_RANK)),
});
