import { makeInt, makeString } from '../../ir/attributes.js';
import type { GraphBuilder } from './graph-builder.js';
import { isIdentity, normalAxis, type Value } from './value.js';

/** Where axis `axis` of the value lies in its tensor. */
export const placeOf = ({ order, rank }: Value, axis: number): number =>
  order === null ? axis : order.indexOf(normalAxis(axis, rank ?? order.length));

/** The order that is left without some axes, named anew. */
function without(order: readonly number[] | null, axes: readonly number[]): number[] | null {
  if (order === null) return null;
  const left = order.filter((axis) => !axes.includes(axis));
  const names = [...left].sort((a, b) => a - b);
  const renamed = left.map((axis) => names.indexOf(axis));
  return isIdentity(renamed) ? null : renamed;
}

const axesOf = ({ rank }: Value, axes: readonly number[]): number[] => axes.map((axis) => normalAxis(axis, rank ?? 0));

/** A sum, mean or maximum over axes. */
export function reduce(
  b: GraphBuilder,
  operator: string,
  x: Value,
  { axes, keep }: { axes: number[]; keep: boolean },
): Value {
  const source = x.rank === null ? b.plain(x) : x;
  const places = axes.map((axis) => placeOf(source, axis));
  const attributes = [makeInt('keepdims', keep ? 1 : 0)];
  const rank = source.rank === null ? null : source.rank - (keep ? 0 : axes.length);
  const order = keep ? source.order : without(source.order, axesOf(source, axes));
  // ReduceMax and ReduceMin take their axes as an input from this operator set on.
  return b.emit(operator, [source, b.ints(places)], { attributes, rank, order });
}

export function squeeze(b: GraphBuilder, x: Value, axes: number[]): Value {
  const places = axes.map((axis) => placeOf(x, axis));
  const rank = x.rank === null ? null : x.rank - axes.length;
  return b.emit('Squeeze', [x, b.ints(places)], { rank, order: without(x.order, axesOf(x, axes)) });
}

/** Axes are those of the result. */
export function unsqueeze(b: GraphBuilder, x: Value, axes: number[]): Value {
  const rank = x.rank === null ? null : x.rank + axes.length;
  return b.emit('Unsqueeze', [b.plain(x), b.ints(axes)], { rank, order: null });
}

/** A matter of names: nothing moves before something needs an order. */
export function transpose(x: Value, perm: readonly number[]): Value {
  const now = x.order ?? perm.map((_, i) => i);
  const order = now.map((axis) => perm.indexOf(axis));
  return { ...x, order: isIdentity(order) ? null : order, rank: perm.length };
}

export function concat(b: GraphBuilder, inputs: readonly Value[], axis: number): Value {
  const order = inputs.find((value) => value.order !== null)?.order ?? null;
  const same = inputs.map((value) =>
    order !== null && value.rank === order.length ? b.ordered(value, order) : b.plain(value),
  );
  const [first] = same;
  if (first === undefined) throw b.fail('nothing to put together');
  return b.emit('Concat', same, { attributes: [makeInt('axis', placeOf(first, axis))] });
}

/** What is put before and behind every axis of the value. */
export function pad(b: GraphBuilder, x: Value, pads: [number, number][], { mode = 'constant', value = 0 } = {}): Value {
  const places = (x.order ?? pads.map((_, i) => i)).map((axis) => pads[axis] ?? [0, 0]);
  const amounts = b.ints([...places.map(([before]) => before), ...places.map(([, after]) => after)]);
  const fill = mode === 'constant' && value !== 0 ? [b.scalar(value)] : [];
  return b.emit('Pad', [x, amounts, ...fill], { attributes: [makeString('mode', mode)] });
}

export interface Cut {
  axis: number;
  begin: number;
  end: number;
  step?: number;
}

/** Larger than any axis: to the end of it. */
export const TO_END = 2 ** 31 - 1;

export function slice(b: GraphBuilder, x: Value, cuts: readonly Cut[]): Value {
  if (cuts.length === 0) return x;
  const ints = (of: (cut: Cut) => number) => b.ints(cuts.map(of));
  return b.emit('Slice', [
    x,
    ints(({ begin }) => begin),
    ints(({ end }) => end),
    ints(({ axis }) => placeOf(x, axis)),
    ints(({ step = 1 }) => step),
  ]);
}

/** `shape` as in TensorFlow: -1 is worked out. `keepBatch`: the first number is left as it is. */
export function reshape(b: GraphBuilder, x: Value, shape: readonly number[], keepBatch = false): Value {
  const wanted = keepBatch ? [0, ...shape] : shape;
  return b.emit('Reshape', [b.plain(x), b.ints(wanted)], { order: null, rank: wanted.length });
}

export const flatten = (b: GraphBuilder, x: Value): Value =>
  b.emit('Flatten', [b.plain(x)], { attributes: [makeInt('axis', 1)], order: null, rank: 2 });

export interface Resize {
  /** Of the spatial axes, the two behind the batch, or behind the channels. */
  size: { scales: number[] } | { sizes: number[] };
  mode: 'nearest' | 'linear';
  alignCorners?: boolean;
  halfPixelCenters?: boolean;
  axes?: number[];
}

export function resize(
  b: GraphBuilder,
  x: Value,
  { size, mode, alignCorners = false, halfPixelCenters = false, axes = [1, 2] }: Resize,
): Value {
  const places = axes.map((axis) => placeOf(x, axis));
  const order = places.map((_, i) => i).sort((i, j) => (places[i] ?? 0) - (places[j] ?? 0));
  const sorted = <T>(values: readonly T[]): T[] => order.flatMap((i) => values[i] ?? []);
  const coordinates = alignCorners ? 'align_corners' : halfPixelCenters ? 'half_pixel' : 'asymmetric';
  const attributes = [
    makeString('mode', mode),
    makeString('coordinate_transformation_mode', coordinates),
    // From half a pixel on, TensorFlow does not take the half off again: rounding up is the same as its rounding down.
    makeString('nearest_mode', alignCorners || halfPixelCenters ? 'round_prefer_ceil' : 'floor'),
  ];
  const rank = x.rank ?? 4;
  if ('scales' in size) {
    const scales = Array.from({ length: rank }, () => 1);
    places.forEach((place, i) => (scales[place] = size.scales[i] ?? 1));
    return b.emit('Resize', [x, '', b.floats([rank], scales)], { attributes });
  }
  const sizes = b.ints(sorted(size.sizes));
  const named = { name: 'axes', type: 7, ints: sorted(places) };
  return b.emit('Resize', [x, '', '', sizes], { attributes: [...attributes, named] });
}
