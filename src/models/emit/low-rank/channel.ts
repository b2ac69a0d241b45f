import type { LowRankEmitter } from './emitter.js';

/** k x k, then 1x1. */
export const channel: LowRankEmitter = (b, { rank, q, p }, bias, to) => {
  const { channels, input } = b.layer;
  b.check(q.length, rank * channels * b.taps, 'q');
  b.check(p.length, bias.length * rank, 'p');
  const between = b.fresh('low_rank');
  return [
    ...b.linear('low_rank_q', { input, output: between, weights: q, channels, bias: null, spatial: true }),
    ...b.linear('low_rank_p', { input: between, output: to, weights: p, channels: rank, bias, spatial: false }),
  ];
};
