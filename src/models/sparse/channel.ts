import { denseLayer, filled, pickInputs, spread, type PatternDescription } from './pattern.js';

/** An input channel, all its taps. */
export const channel = {
  group: 'an input channel',
  groups: 'channels',
  stores: 'columns',
  width: (taps) => taps,
  total: ({ channels }) => channels,
  step: () => 1,
  count: ({ kept }) => kept.length,
  storesZeros: () => false,
  parts: (layer, groups) => [{ ...denseLayer(layer), channels: groups }],
  picks: (layer, groups) => (groups === layer.channels ? [] : [pickInputs(layer, groups)]),
  nonzeros: ({ m, d, channels }, groups) => (groups * d * m) / channels,
  even: ({ m, d, channels }, groups, value) => ({
    kept: spread(groups, channels),
    weights: filled((m * groups * d) / channels, value),
  }),
} as const satisfies PatternDescription;
