import { makeFloat, makeInt } from '../../ir/attributes.js';
import type { StoredTensor } from '../io/weights.js';
import type { GraphBuilder } from './graph-builder.js';
import { elementwise } from './elementwise.js';
import { axisSecond, normalAxis, type Value } from './value.js';

/** A product with constant weights [inputs, outputs] and a bias. */
export function dense(b: GraphBuilder, x: Value, kernel: StoredTensor, bias: StoredTensor | null): Value {
  const plain = b.plain(x);
  if (plain.rank === 2)
    return b.emit('Gemm', [plain, b.constant(kernel), ...(bias === null ? [] : [b.constant(bias)])]);
  const product = b.emit('MatMul', [plain, b.constant(kernel)]);
  return bias === null ? product : elementwise(b, 'Add', [product, b.constant(bias)]);
}

export interface Product {
  transposeA?: boolean;
  transposeB?: boolean;
  bias?: StoredTensor | null;
}

/** Of two values, or of one and weights. */
export function product(
  b: GraphBuilder,
  x: Value,
  y: Value,
  { transposeA = false, transposeB = false, bias = null }: Product,
): Value {
  const weights = y.constant;
  if (!transposeA && weights?.dims.length === 2 && x.rank === 2)
    return dense(b, x, transposeB ? b.reordered(weights, [1, 0]) : weights, bias);
  const turned = (value: Value, turn: boolean): Value => {
    if (!turn) return b.plain(value);
    if (value.rank === null) throw b.fail('a product of turned tensors of an unknown number of axes is not read');
    const last = value.rank - 1;
    const order = Array.from({ length: value.rank }, (_, i) => (i === last ? last - 1 : i === last - 1 ? last : i));
    return { ...b.ordered(value, order), order: null };
  };
  const rank = x.rank === null || y.rank === null ? null : Math.max(x.rank, y.rank);
  const made = b.emit('MatMul', [turned(x, transposeA), turned(y, transposeB)], { order: null, rank });
  return bias === null ? made : elementwise(b, 'Add', [made, b.constant(bias)]);
}

export interface Normalization {
  scale: StoredTensor | null;
  shift: StoredTensor | null;
  mean: StoredTensor;
  variance: StoredTensor;
  epsilon: number;
  axis?: number;
}

const filled = (length: number, value: number): StoredTensor => ({
  dims: [length],
  type: 'float32',
  data: new Float32Array(length).fill(value),
});

/** With the statistics of the training. */
export function batchNormalization(
  b: GraphBuilder,
  x: Value,
  { scale, shift, mean, variance, epsilon, axis = -1 }: Normalization,
): Value {
  const { rank } = x;
  if (rank === null || rank < 2) throw b.fail('the number of axes of its input is not known');
  const order = axisSecond(rank, normalAxis(axis, rank));
  const count = mean.dims[0] ?? 0;
  const tensors = [scale ?? filled(count, 1), shift ?? filled(count, 0), mean, variance].map((tensor) =>
    b.constant(tensor),
  );
  return b.emit('BatchNormalization', [b.ordered(x, order), ...tensors], {
    attributes: [makeFloat('epsilon', epsilon)],
    order: order.every((a, i) => a === i) ? null : order,
  });
}

/** Over the last axis. */
export function layerNormalization(
  b: GraphBuilder,
  x: Value,
  { scale, shift, epsilon }: { scale: StoredTensor; shift: StoredTensor | null; epsilon: number },
): Value {
  const inputs = [b.plain(x), b.constant(scale), ...(shift === null ? [] : [b.constant(shift)])];
  return b.emit('LayerNormalization', inputs, { attributes: [makeInt('axis', -1), makeFloat('epsilon', epsilon)] });
}
