import type { SparseEmitter } from './emitter.js';

/** A dense layer that holds the zeros. */
export const withZeros: SparseEmitter = (b, { weights }, bias, to) => {
  const { m, channels, input } = b.layer;
  b.check(weights.length, m * channels * b.taps, 'sparse weights');
  return b.linear('sparse', { input, output: to, weights, channels, bias, spatial: true });
};
