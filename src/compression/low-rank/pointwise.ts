import { narrowInput } from './narrow-input.js';

/** Of the first convolution. */
const WIDTHS = [4, 8, 12, 16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 256];

/** The functionals act on the channels of a pixel; their number is the rank, and every coefficient on them is free. */
export const pointwise = narrowInput('pointwise', {
  split: ({ channels, taps }) => ({ outer: channels, taps }),
  widths: (_, limit) => WIDTHS.filter((width) => width <= limit),
});
