import { denseLayer, type PatternDescription } from './pattern.js';

/** Weights of `n:m`: N of every M. */
export const KEPT_OF = { n: 2, m: 4 } as const;

const foursOf = (m: number, d: number): number => m * Math.ceil(d / KEPT_OF.m);

/**
 * Two of every four neighbours along the inputs of an output; a group is the four. No ONNX form leaves the zeros out: a
 * dense layer with zeros, which no runtime of ours computes faster.
 */
export const nOfM = {
  group: 'two of every four neighbours',
  groups: 'fours',
  stores: 'all',
  width: (taps) => taps,
  total: ({ m, d }) => foursOf(m, d),
  step: () => null,
  count: ({ weights }, m) => foursOf(m, weights.length / m),
  storesZeros: () => true,
  parts: (layer) => [denseLayer(layer)],
  nonzeros: ({ m, d }) => m * (KEPT_OF.n * Math.floor(d / KEPT_OF.m) + Math.min(KEPT_OF.n, d % KEPT_OF.m)),
  even: ({ m, d }, _, value) => ({
    kept: [],
    weights: new Float32Array(m * d).map((__, i) => ((i % d) % KEPT_OF.m < KEPT_OF.n ? value : 0)),
  }),
} as const satisfies PatternDescription;
