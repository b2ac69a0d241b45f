import { denseLayer, filled, spread, type PatternDescription } from './pattern.js';

/** An output channel, a whole row of W. */
export const filter = {
  group: 'an output',
  groups: 'filters',
  stores: 'rows',
  width: (taps) => taps,
  total: ({ m }) => m,
  step: () => 1,
  count: ({ kept }) => kept.length,
  storesZeros: () => false,
  parts: (layer, groups, alone) => {
    const rows = { ...denseLayer(layer), outputs: groups };
    // What puts the rows in their places: a factor for every channel, or a product with unit vectors.
    const places = { outputs: layer.m, channels: layer.op === 'Conv' ? 1 : groups, taps: 1, places: layer.positions };
    return alone ? [rows, places] : [rows];
  },
  nonzeros: ({ d }, groups, alone) => groups * d + (alone ? groups : 0),
  even: ({ m, d }, groups, value) => ({ kept: spread(groups, m), weights: filled(groups * d, value) }),
} as const satisfies PatternDescription;
