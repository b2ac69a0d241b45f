import { denseLayer, spread, type PatternDescription } from './pattern.js';

/** A single weight. No ONNX form leaves the zeros out, as with `n:m`. */
export const unstructured = {
  group: 'a single weight',
  groups: 'weights',
  stores: 'all',
  width: (taps) => taps,
  total: ({ m, d }) => m * d,
  step: () => 1,
  count: ({ weights }) => weights.reduce((count, w) => (w === 0 ? count : count + 1), 0),
  storesZeros: () => true,
  parts: (layer) => [denseLayer(layer)],
  nonzeros: (_, groups) => groups,
  even: ({ m, d }, groups, value) => {
    const weights = new Float32Array(m * d);
    for (const i of spread(groups, m * d)) weights[i] = value;
    return { kept: [], weights };
  },
} as const satisfies PatternDescription;
