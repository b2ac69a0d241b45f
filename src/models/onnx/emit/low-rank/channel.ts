import type { LowRankEmitter } from './emitter.js';

/** k x k, then 1x1. */
export const channel: LowRankEmitter = (b, { rank, q, p }, bias, to) => {
  const { channels, input } = b.layer;
  b.check(q.length, rank * channels * b.taps, 'q');
  b.check(p.length, bias.length * rank, 'p');
  const between = b.fresh('low_rank');
  return [
    ...b.linear('low_rank_q', input, between, q, channels, null, true),
    ...b.linear('low_rank_p', between, to, p, rank, bias, false),
  ];
};
