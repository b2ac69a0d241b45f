import { narrowInput } from './narrow-input.js';
import { roundingStep, steps } from './rank-grid.js';

const MAX_RANK = 128;

/** The functionals act on a column of kh pixels; their number is the rank, and every coefficient on them is free. */
export const spatial = narrowInput('spatial', {
  split: ({ channels, taps, lastAxes }) => {
    if (lastAxes === undefined) throw new RangeError('a spatial low-rank part needs a kernel of two or three axes');
    return { outer: (channels * taps) / lastAxes, taps: lastAxes };
  },
  widths: (outputs, limit) => steps(roundingStep(outputs), Math.min(limit, outputs - 1, MAX_RANK)),
});
