import { denseLayer, filled, pickInputs, spread, type PatternDescription } from './pattern.js';

/** One tap of one input channel, a column of the im2col matrix. The same as `channel` where the kernel has one tap. */
export const column = {
  group: 'a tap of an input channel',
  groups: 'columns',
  stores: 'columns',
  width: () => 1,
  total: ({ d }) => d,
  step: () => 1,
  count: ({ kept }) => kept.length,
  storesZeros: () => false,
  parts: (layer, groups) => {
    const dense = denseLayer(layer);
    const sum = { ...dense, channels: groups, taps: 1 };
    // A kernel that picks the tap, for every column.
    return dense.taps === 1 ? [sum] : [{ ...dense, outputs: groups, channels: 1 }, sum];
  },
  picks: (layer, groups) => [pickInputs(layer, groups)],
  nonzeros: ({ m, d, channels }, groups) => groups * (d === channels ? m : m + 1),
  even: ({ m, d }, groups, value) => ({ kept: spread(groups, d), weights: filled(m * groups, value) }),
} as const satisfies PatternDescription;
