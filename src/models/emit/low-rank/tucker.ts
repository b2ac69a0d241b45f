import type { LowRankEmitter } from './emitter.js';

/** 1x1, k x k, then 1x1. */
export const tucker: LowRankEmitter = (b, { rank, inner, basis, q, p }, bias, to) => {
  const { channels, input, name } = b.layer;
  if (basis === null) throw new RangeError(`${name}: a tucker part without its basis`);
  b.check(basis.length, inner * channels, 'basis');
  b.check(q.length, rank * inner * b.taps, 'q');
  b.check(p.length, bias.length * rank, 'p');
  const narrow = b.fresh('low_rank_inner');
  const nodes = b.linear('low_rank_basis', {
    input,
    output: narrow,
    weights: basis,
    channels,
    bias: null,
    spatial: false,
  });
  const between = b.fresh('low_rank');
  return [
    ...nodes,
    ...b.linear('low_rank_q', {
      input: narrow,
      output: between,
      weights: q,
      channels: inner,
      bias: null,
      spatial: true,
    }),
    ...b.linear('low_rank_p', { input: between, output: to, weights: p, channels: rank, bias, spatial: false }),
  ];
};
