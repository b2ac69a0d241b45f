import { makeInt, makeNode } from '../../ir/attributes.js';
import type { SparseEmitter } from './emitter.js';
import { checkKept } from './kept.js';

/** The channel of every column, one tap of it by a depthwise convolution, then 1x1. */
export const column: SparseEmitter = (b, { kept, weights }, bias, to) => {
  const { m, channels: inputs, kernel, input, name: layer } = b.layer;
  const { taps } = b;
  checkKept(layer, kept, inputs * taps, 'columns');
  b.check(weights.length, m * kept.length, 'sparse weights');
  const gathered = b.fresh('kept');
  const channels = kept.map((column) => Math.floor(column / taps));
  const gather = b.gather(input, channels, gathered);
  if (taps === 1)
    return [
      gather,
      ...b.linear('sparse', { input: gathered, output: to, weights, channels: kept.length, bias, spatial: true }),
    ];
  const pick = new Float32Array(kept.length * taps);
  kept.forEach((column, i) => (pick[i * taps + (column % taps)] = 1));
  const picked = b.fresh('taps');
  const name = b.tensor('tap_weight', [kept.length, 1, ...kernel], pick);
  const depthwise = [...b.geometry(), makeInt('group', kept.length)];
  return [
    gather,
    makeNode('Conv', b.fresh('pick_taps'), [gathered, name], [picked], depthwise),
    ...b.linear('sparse', { input: picked, output: to, weights, channels: kept.length, bias, spatial: false }),
  ];
};
