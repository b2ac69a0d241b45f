import type { LowRankEmitter } from './emitter.js';

/** 1x1, then k x k. */
export const pointwise: LowRankEmitter = (b, { rank, q, p }, bias, to) => {
  const { channels, input } = b.layer;
  b.check(q.length, rank * channels, 'q');
  b.check(p.length, bias.length * rank * b.taps, 'p');
  const between = b.fresh('low_rank');
  return [
    ...b.linear('low_rank_q', { input, output: between, weights: q, channels, bias: null, spatial: false }),
    ...b.linear('low_rank_p', { input: between, output: to, weights: p, channels: rank, bias, spatial: true }),
  ];
};
