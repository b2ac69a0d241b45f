import { makeInt, makeInts, makeString } from '../../ir/attributes.js';
import type { AttributeProto } from '../../ir/messages.js';
import type { StoredTensor } from '../io/weights.js';
import type { GraphBuilder } from './graph-builder.js';
import { elementwise } from './elementwise.js';
import { axisSecond, type Value } from './value.js';

export interface Window {
  strides: number[];
  dilations: number[];
  /** Or what is put around every spatial axis, [before, after]. */
  padding: 'same' | 'valid' | [number, number][];
}

/** Axis of the channels: the last, or the second one. */
export type ChannelAxis = 'last' | 'first';

const orderOf = (rank: number, channels: ChannelAxis): number[] =>
  channels === 'last' ? axisSecond(rank) : Array.from({ length: rank }, (_, i) => i);

/** How much an even padding takes on both sides; the odd one goes behind, as TensorFlow has it. */
const halves = (total: number): [number, number] => [Math.floor(total / 2), total - Math.floor(total / 2)];

function geometry(kernel: number[], { strides, dilations, padding }: Window): AttributeProto[] {
  const plain = [makeInts('kernel_shape', kernel), makeInts('strides', strides)];
  const dilated = dilations.some((d) => d !== 1) ? [makeInts('dilations', dilations)] : [];
  if (padding === 'valid') return [...plain, ...dilated];
  // Behind a stride, what `same` adds depends on the size of the input.
  if (padding === 'same' && strides.some((s) => s !== 1))
    return [...plain, ...dilated, makeString('auto_pad', 'SAME_UPPER')];
  const pads = padding === 'same' ? kernel.map((size, i) => halves((size - 1) * (dilations[i] ?? 1))) : padding;
  return [
    ...plain,
    ...dilated,
    makeInts('pads', [...pads.map(([before]) => before), ...pads.map(([, after]) => after)]),
  ];
}

export interface Convolution {
  /** [...spatial, inputs, outputs]; depthwise: [...spatial, inputs, multiplier]. */
  kernel: Value;
  bias: StoredTensor | null;
  window: Window;
  channels?: ChannelAxis;
  groups?: number;
}

/** Of any number of spatial axes, with a bias for every output. */
export function convolution(
  b: GraphBuilder,
  x: Value,
  { kernel, bias, window, channels = 'last', groups = 1 }: Convolution,
): Value {
  const { constant } = kernel;
  if (constant === null) throw b.fail('the weights of this convolution are computed; only constant ones are read');
  const rank = constant.dims.length;
  const spatial = constant.dims.slice(0, -2);
  checkRank(b, x, rank);
  const order = orderOf(rank, channels);
  const weight = b.ordered(kernel, [rank - 1, rank - 2, ...spatial.map((_, i) => i)]);
  const attributes = [...geometry(spatial, window), ...(groups === 1 ? [] : [makeInt('group', groups)])];
  const tensors = [b.ordered(x, order), weight, ...(bias === null ? [] : [b.constant(bias)])];
  return b.emit('Conv', tensors, { attributes, order: orderOrNull(order), rank });
}

const orderOrNull = (order: number[]): number[] | null => (order.every((axis, i) => axis === i) ? null : order);

function checkRank(b: GraphBuilder, x: Value, rank: number): void {
  if (x.rank !== null && x.rank !== rank)
    throw b.fail(`its input has ${String(x.rank)} axes; its weights are for ${String(rank)}`);
}

export function depthwise(b: GraphBuilder, x: Value, { kernel, bias, window, channels = 'last' }: Convolution): Value {
  const { constant } = kernel;
  if (constant === null) throw b.fail('the weights of this convolution are computed; only constant ones are read');
  const rank = constant.dims.length;
  const spatial = constant.dims.slice(0, -2);
  checkRank(b, x, rank);
  const [inputs = 0, multiplier = 0] = constant.dims.slice(-2);
  const turned = b.reordered(constant, [rank - 2, rank - 1, ...spatial.map((_, i) => i)]);
  const weight = b.constant({ ...turned, dims: [inputs * multiplier, 1, ...spatial] });
  const order = orderOf(rank, channels);
  return b.emit('Conv', [b.ordered(x, order), weight, ...(bias === null ? [] : [b.constant(bias)])], {
    attributes: [...geometry(spatial, window), makeInt('group', inputs)],
    ...{ order: orderOrNull(order), rank },
  });
}

/** Kernel [...spatial, outputs, inputs]. `same` gives stride times the size of the input. */
export function transposed(b: GraphBuilder, x: Value, { kernel, bias, window, channels = 'last' }: Convolution): Value {
  const { constant } = kernel;
  if (constant === null) throw b.fail('the weights of this convolution are computed; only constant ones are read');
  const rank = constant.dims.length;
  const spatial = constant.dims.slice(0, -2);
  checkRank(b, x, rank);
  const { strides, dilations, padding } = window;
  if (Array.isArray(padding))
    throw b.fail('explicit padding of a transposed convolution is not read: use same or valid');
  const over = spatial.map((size, i) => (size - 1) * (dilations[i] ?? 1) + 1 - (strides[i] ?? 1));
  const cut = over.map((extra): [number, number] => (padding === 'same' && extra > 0 ? halves(extra) : [0, 0]));
  // Where strides leave gaps that no kernel reaches, the output is longer than what was written to.
  const more = over.map((extra) => Math.max(-extra, 0));
  const attributes = [
    makeInts('kernel_shape', spatial),
    makeInts('strides', strides),
    ...(dilations.some((d) => d !== 1) ? [makeInts('dilations', dilations)] : []),
    makeInts('pads', [...cut.map(([before]) => before), ...cut.map(([, after]) => after)]),
    ...(more.some((m) => m > 0) ? [makeInts('output_padding', more)] : []),
  ];
  const weight = b.ordered(kernel, [rank - 1, rank - 2, ...spatial.map((_, i) => i)]);
  const order = orderOf(rank, channels);
  return b.emit('ConvTranspose', [b.ordered(x, order), weight, ...(bias === null ? [] : [b.constant(bias)])], {
    attributes,
    ...{ order: orderOrNull(order), rank },
  });
}

export interface Pool {
  kind: 'MaxPool' | 'AveragePool';
  size: number[];
  window: Window;
  channels?: ChannelAxis;
}

export function pool(b: GraphBuilder, x: Value, { kind, size, window, channels = 'last' }: Pool): Value {
  const rank = size.length + 2;
  checkRank(b, x, rank);
  const order = orderOf(rank, channels);
  const attributes = geometry(size, window);
  return b.emit(kind, [b.ordered(x, order)], { attributes, order: orderOrNull(order), rank });
}

/** A number for every channel, as of BiasAdd. */
export function addBias(b: GraphBuilder, x: Value, bias: Value, channels: ChannelAxis = 'last'): Value {
  const { constant } = bias;
  if (channels === 'last' || constant === null || x.rank === null) return elementwise(b, 'Add', [x, bias]);
  const dims = [constant.dims[0] ?? 1, ...Array.from({ length: x.rank - 2 }, () => 1)];
  return elementwise(b, 'Add', [x, b.constant({ ...constant, dims })]);
}
