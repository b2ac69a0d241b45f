import type { ShapeDescription } from './shape.js';

/**
 * k x k to `rank` channels, then 1x1 to the m outputs. Fully connected layers have this one. `q` is [rank, channels *
 * taps], `p` [m, rank].
 */
export const channel: ShapeDescription = {
  convolutions: 'k x k, 1x1',
  narrows: 'output',
  applies: () => true,
  parts: ({ d, channels, positions }, { rank }, outputs) => [
    { outputs: rank, channels, taps: d / channels, places: positions },
    { outputs, channels: rank, taps: 1, places: positions },
  ],
};
