import { makeInt, makeInts, makeNode } from '../../ir/attributes.js';
import type { SparseEmitter } from './emitter.js';
import { checkKept } from './kept.js';

/**
 * A narrower layer whose outputs are then put in their places; the other outputs are constant. Convolutions: every
 * output takes some kept one and a factor of 1 or 0, which is less than a product with unit vectors.
 */
export const filter: SparseEmitter = (b, { kept, weights }, givenBias, to) => {
  const { m, channels, input, op, kernel, name } = b.layer;
  checkKept(name, kept, m, 'filters');
  b.check(weights.length, kept.length * channels * b.taps, 'sparse weights');
  const bias = givenBias ?? new Float32Array(m);
  const narrow = b.fresh('filters');
  const nodes = b.linear('sparse', { input, output: narrow, weights, channels, bias: null, spatial: true });
  if (op !== 'Conv') {
    const unit = new Float32Array(m * kept.length);
    kept.forEach((row, i) => (unit[row * kept.length + i] = 1));
    return [
      ...nodes,
      ...b.linear('places', { input: narrow, output: to, weights: unit, channels: kept.length, bias, spatial: false }),
    ];
  }
  const spread = b.fresh('spread');
  const from = new Array<number>(m).fill(0);
  const factors = new Float32Array(m);
  kept.forEach((row, i) => {
    from[row] = i;
    factors[row] = 1;
  });
  const ones = kernel.map(() => 1);
  const inputs = [spread, b.tensor('places_weight', [m, 1, ...ones], factors), b.tensor('places_bias', [m], bias)];
  const attributes = [makeInts('kernel_shape', ones), makeInt('group', m)];
  return [...nodes, b.gather(narrow, from, spread), makeNode('Conv', b.fresh('places'), inputs, [to], attributes)];
};
