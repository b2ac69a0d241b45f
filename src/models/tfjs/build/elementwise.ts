import { makeFloat, makeInt } from '../../ir/attributes.js';
import type { StoredTensor } from '../io/weights.js';
import type { GraphBuilder } from './graph-builder.js';
import type { Value } from './value.js';

/**
 * An operator that works value by value, with broadcasting. It works on tensors as they lie: in the order of the first input that has
 * one of its own, to which the others are brought.
 */
export function elementwise(
  b: GraphBuilder,
  operator: string,
  inputs: readonly Value[],
  type: Value['type'] = inputs[0]?.type ?? 'float32',
): Value {
  const ranks = inputs.map(({ rank }) => rank);
  const rank = ranks.every((r) => r !== null) ? Math.max(...ranks) : null;
  const order = inputs.find((value) => value.order !== null && value.order.length === rank)?.order ?? null;
  const aligned =
    order === null ? inputs.map((value) => b.plain(value)) : inputs.map((value) => align(b, value, order));
  return b.emit(operator, aligned, { order, rank, type });
}

function align(b: GraphBuilder, value: Value, order: readonly number[]): Value {
  if (value.rank === order.length) return b.ordered(value, order);
  const { constant } = value;
  if (value.rank === 0) return value;
  if (constant !== null) {
    const dims = [...order.slice(constant.dims.length).map(() => 1), ...constant.dims];
    return b.ordered(b.constant({ ...constant, dims }), order);
  }
  const missing = order.length - (value.rank ?? 0);
  const axes = Array.from({ length: missing }, (_, i) => i);
  const wide = b.emit('Unsqueeze', [b.plain(value), b.ints(axes)], { order: null, rank: order.length });
  return b.ordered(wide, order);
}

export const unary = (b: GraphBuilder, operator: string, x: Value): Value => b.emit(operator, [x]);

/** Operators of one input that are called the same in ONNX, up to letters. */
const SAME: Readonly<Record<string, string>> = {
  ...{ relu: 'Relu', sigmoid: 'Sigmoid', tanh: 'Tanh', softplus: 'Softplus', softsign: 'Softsign', selu: 'Selu' },
  ...{ exponential: 'Exp' },
};

/** Between two numbers; null leaves an end open. */
export const clamp = (b: GraphBuilder, x: Value, low: number | null, high: number | null): Value =>
  b.emit('Clip', [x, low === null ? '' : b.scalar(low), high === null ? '' : b.scalar(high)]);

const binary = (b: GraphBuilder, operator: string, x: Value, y: number): Value =>
  elementwise(b, operator, [x, b.scalar(y)]);

export const leakyRelu = (b: GraphBuilder, x: Value, alpha: number): Value =>
  b.emit('LeakyRelu', [x], { attributes: [makeFloat('alpha', alpha)] });

export const elu = (b: GraphBuilder, x: Value, alpha: number): Value =>
  b.emit('Elu', [x], { attributes: [makeFloat('alpha', alpha)] });

/** Along an axis of the value. */
export function softmax(b: GraphBuilder, x: Value, { axis = -1, operator = 'Softmax' } = {}): Value {
  const place = x.order === null || x.rank === null ? axis : x.order.indexOf(axis < 0 ? axis + x.rank : axis);
  return b.emit(operator, [x], { attributes: [makeInt('axis', place)] });
}

/** Slope for every channel, or for every value; shape as the last axes of `x`. */
export function prelu(b: GraphBuilder, x: Value, slope: StoredTensor): Value {
  return elementwise(b, 'PRelu', [x, b.constant(slope)]);
}

/** The activation of this name, as Keras and the fused operators of TensorFlow call them in lower case; null: unknown. */
export function activation(b: GraphBuilder, x: Value, name: string): Value | null {
  const same = SAME[name];
  if (same !== undefined && Object.hasOwn(SAME, name)) return unary(b, same, x);
  switch (name) {
    case 'linear':
      return x;
    case 'relu6':
      return clamp(b, x, 0, 6);
    case 'elu':
      return elu(b, x, 1);
    case 'hard_sigmoid':
      return b.emit('HardSigmoid', [x], { attributes: [makeFloat('alpha', 0.2), makeFloat('beta', 0.5)] });
    case 'softmax':
      return softmax(b, x);
    case 'log_softmax':
      return softmax(b, x, { operator: 'LogSoftmax' });
    case 'swish':
    case 'silu':
      return elementwise(b, 'Mul', [x, unary(b, 'Sigmoid', x)]);
    case 'mish':
      return elementwise(b, 'Mul', [x, unary(b, 'Tanh', unary(b, 'Softplus', x))]);
    case 'gelu': {
      const erf = unary(b, 'Erf', binary(b, 'Mul', x, Math.SQRT1_2));
      return elementwise(b, 'Mul', [x, binary(b, 'Mul', binary(b, 'Add', erf, 1), 0.5)]);
    }
    case 'gelu_new': {
      const cube = binary(b, 'Mul', elementwise(b, 'Mul', [elementwise(b, 'Mul', [x, x]), x]), 0.044715);
      const inner = binary(b, 'Mul', elementwise(b, 'Add', [x, cube]), Math.sqrt(2 / Math.PI));
      return elementwise(b, 'Mul', [x, binary(b, 'Mul', binary(b, 'Add', unary(b, 'Tanh', inner), 1), 0.5)]);
    }
    default:
      return null;
  }
}
