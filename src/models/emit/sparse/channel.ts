import type { SparseEmitter } from './emitter.js';
import { checkKept } from './kept.js';

/** The kept channels, then a narrower layer. */
export const channel: SparseEmitter = (b, { kept, weights }, bias, to) => {
  const { m, channels, input, name } = b.layer;
  b.check(weights.length, m * kept.length * b.taps, 'sparse weights');
  if (kept.length === channels)
    return b.linear('sparse', { input, output: to, weights, channels, bias, spatial: true });
  checkKept(name, kept, channels, 'channels');
  const gathered = b.fresh('kept');
  const linear = b.linear('sparse', {
    input: gathered,
    output: to,
    weights,
    channels: kept.length,
    bias,
    spatial: true,
  });
  return [b.gather(input, kept, gathered), ...linear];
};
