import { floatAttribute, intAttribute, intsAttribute, stringAttribute } from '../../ir/attributes.js';
import type { NodeProto } from '../../ir/messages.js';
import { operatorOf } from '../../ir/operator.js';
import { isIdentity } from '../build/value.js';
import type { Shape, Weights } from './target.js';
import { channelsLast, type NodeWriter, type Walker, type Written } from './walker.js';

const first = (w: Walker, node: NodeProto): Written => w.get(node.input[0] ?? '');
const output = (node: NodeProto): string => node.output[0] ?? '';
const normal = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
/** Where an axis of the tensor lies in what is written. */
const place = ({ order, shape }: Written, axis: number): number =>
  order === null ? normal(axis, shape.length) : order.indexOf(normal(axis, shape.length));
const writtenShape = (order: readonly number[] | null, shape: Shape): Shape =>
  order === null ? shape : order.map((axis) => shape[axis] ?? null);

export const unary =
  (operator: string, alpha?: (node: NodeProto) => number): NodeWriter =>
  (w, node) => {
    const x = first(w, node);
    w.set(output(node), { ...x, ref: w.target.unary(node.name, operator, x.ref, alpha?.(node)) });
  };

const same: NodeWriter = (w, node) => w.set(output(node), first(w, node));

const clip: NodeWriter = (w, node) => {
  const x = first(w, node);
  const end = (i: number, name: string) => {
    const given = w.constant(node.input[i])?.data[0] ?? floatAttribute(node, name, Number.NaN);
    return Number.isNaN(given) || Math.abs(given) > 3e38 ? null : given;
  };
  w.set(output(node), { ...x, ref: w.target.clip(node.name, x.ref, end(1, 'min'), end(2, 'max')) });
};

const prelu: NodeWriter = (w, node) => {
  const x = first(w, node);
  const slope = w.constant(node.input[1]);
  if (slope === null) throw w.fail(node, 'its slope is computed');
  w.set(output(node), {
    ...x,
    ref: w.target.prelu(node.name, x.ref, w.aligned(slope, x.order, x.shape.length), x.shape.length),
  });
};

function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[i - rank + a.length], b[i - rank + b.length]];
    if (x === undefined || x === 1) return y ?? null;
    return y === undefined || y === 1 || x === y ? x : (x ?? y);
  });
}

export const binary =
  (operator: string): NodeWriter =>
  (w, node) => {
    const [a, b] = [0, 1].map((i) => (w.has(node.input[i] ?? '') ? null : w.constant(node.input[i])));
    const left = a === null ? w.get(node.input[0] ?? '') : null;
    const right = b === null ? w.get(node.input[1] ?? '') : null;
    const rank = Math.max(left?.shape.length ?? a?.dims.length ?? 0, right?.shape.length ?? b?.dims.length ?? 0);
    const fits = [left, right].every((value) => value === null || value.shape.length === rank);
    const order = fits ? (left?.order ?? right?.order ?? null) : null;
    const side = (value: Written | null, constant: Weights | null | undefined) => {
      if (value === null) return constant == null ? null : w.aligned(constant, order, rank);
      return (order === null ? w.plain(value, node.name) : w.ordered(value, order, node.name)).ref;
    };
    const [x, y] = [side(left, a), side(right, b)];
    if (x === null || y === null) throw w.fail(node, 'it reads a tensor of an unknown kind');
    const shape = broadcast(left?.shape ?? a?.dims ?? [], right?.shape ?? b?.dims ?? []);
    w.set(output(node), { ref: w.target.binary(node.name, operator, [x, y], rank), order, shape });
  };

const softmax =
  (operator: string): NodeWriter =>
  (w, node) => {
    const x = first(w, node);
    const { length } = x.shape;
    const axis = normal(intAttribute(node, 'axis', w.model.opset < 13 ? 1 : -1), length);
    const order = [...Array.from({ length }, (_, i) => i).filter((i) => i !== axis), axis];
    if (w.model.opset < 13 && axis !== length - 1) throw w.fail(node, 'a softmax over several axes is not');
    const turned = w.ordered(x, order, node.name);
    w.set(output(node), { ...turned, ref: w.target.unary(node.name, operator, turned.ref) });
  };

const concat: NodeWriter = (w, node) => {
  const values = node.input.map((name) => w.get(name));
  const order = values.find((value) => value.order !== null)?.order ?? null;
  const all = values.map((value) => (order === null ? value : w.ordered(value, order, node.name)));
  const [one] = all;
  if (one === undefined) throw w.fail(node, 'it has no inputs');
  const axis = normal(intAttribute(node, 'axis', 0), one.shape.length);
  const sizes = all.map(({ shape }) => shape[axis] ?? null);
  const total = sizes.some((size) => size === null) ? null : sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  const ref = w.target.concat(
    node.name,
    all.map((value) => value.ref),
    place(one, axis),
  );
  w.set(output(node), { ref, order, shape: one.shape.map((d, i) => (i === axis ? total : d)) });
};

const transpose: NodeWriter = (w, node) => {
  const x = first(w, node);
  const perm = intsAttribute(node, 'perm') ?? x.shape.map((_, i) => x.shape.length - 1 - i);
  const order = (x.order ?? perm.map((_, i) => i)).map((axis) => perm.indexOf(axis));
  w.set(output(node), {
    ref: x.ref,
    order: isIdentity(order) ? null : order,
    shape: perm.map((axis) => x.shape[axis] ?? null),
  });
};

function reshaped(w: Walker, node: NodeProto, x: Written, shape: Shape): void {
  const plain = w.plain(x, node.name);
  if (shape.filter((d) => d === null).length > 1) throw w.fail(node, 'more than one size of its result is not known');
  w.set(output(node), { ref: w.target.reshape(node.name, plain.ref, shape), order: null, shape });
}

const product = (shape: Shape): number | null =>
  shape.reduce<number | null>((p, d) => (p === null || d === null ? null : p * d), 1);

const reshape: NodeWriter = (w, node) => {
  const x = first(w, node);
  const wanted = w.constant(node.input[1]);
  if (wanted === null) throw w.fail(node, 'its shape is computed');
  const shape: (number | null)[] = Array.from(wanted.data, (d, i) =>
    d === 0 ? (x.shape[i] ?? null) : d < 0 ? null : d,
  );
  const open = Array.from(wanted.data).indexOf(-1);
  const [all, rest] = [product(x.shape), product(shape.filter((_, i) => i !== open))];
  if (open >= 0 && all !== null && rest !== null) shape[open] = all / rest;
  // The batch goes through as it is: then what is worked out is the rest of what every sample has.
  const [own, others] = [product(x.shape.slice(1)), product(shape.filter((_, i) => i !== open && i !== 0))];
  if (open > 0 && x.shape[0] === null && wanted.data[0] === 0 && own !== null && others !== null)
    shape[open] = own / others;
  reshaped(w, node, x, shape);
};

const flatten: NodeWriter = (w, node) => {
  const x = first(w, node);
  const axis = normal(intAttribute(node, 'axis', 1), x.shape.length);
  reshaped(w, node, x, [product(x.shape.slice(0, axis)), product(x.shape.slice(axis))]);
};

const squeeze: NodeWriter = (w, node) => {
  const x = first(w, node);
  const axes = (w.list(node, { input: 1, attribute: 'axes' }) ?? x.shape.flatMap((d, i) => (d === 1 ? [i] : []))).map(
    (axis) => normal(axis, x.shape.length),
  );
  reshaped(
    w,
    node,
    x,
    x.shape.filter((_, i) => !axes.includes(i)),
  );
};

const unsqueeze: NodeWriter = (w, node) => {
  const x = first(w, node);
  const axes = w.list(node, { input: 1, attribute: 'axes' }) ?? [];
  const rank = x.shape.length + axes.length;
  const shape: (number | null)[] = [...x.shape];
  for (const axis of axes.map((a) => normal(a, rank)).sort((a, b) => a - b)) shape.splice(axis, 0, 1);
  reshaped(w, node, x, shape);
};

const reduce =
  (operator: string, everywhere = false): NodeWriter =>
  (w, node) => {
    const x = first(w, node);
    const { length } = x.shape;
    const all = x.shape.map((_, i) => i);
    const axes = everywhere
      ? all.slice(2)
      : (w.list(node, { input: 1, attribute: 'axes' }) ?? all).map((axis) => normal(axis, length));
    const keep = everywhere || intAttribute(node, 'keepdims', 1) !== 0;
    // Over all places of a picture channels come last, which every target has a form for.
    const picture = length > 2 && String([...axes].sort()) === String(all.slice(2));
    const ordered = picture ? w.ordered(x, channelsLast(length), node.name) : x;
    const shape = x.shape.flatMap((d, i) => (axes.includes(i) ? (keep ? [1] : []) : [d]));
    const left = keep ? ordered.order : (ordered.order?.filter((axis) => !axes.includes(axis)) ?? null);
    const names = keep || left === null ? null : [...left].sort((a, b) => a - b);
    const order = names === null || left === null ? left : left.map((axis) => names.indexOf(axis));
    const kept = order === null || isIdentity(order) ? null : order;
    const ref = w.target.reduce(node.name, operator, ordered.ref, {
      axes: axes.map((axis) => place(ordered, axis)),
      keep,
      shape: writtenShape(kept, shape),
    });
    w.set(output(node), { ref, order: kept, shape });
  };

const pad: NodeWriter = (w, node) => {
  const x = first(w, node);
  const given = w.list(node, { input: 1, attribute: 'pads' });
  if (given === null || (node.input[3] ?? '') !== '') throw w.fail(node, 'computed padding is not');
  const { length } = x.shape;
  const of = (axis: number): [number, number] => [given[axis] ?? 0, given[axis + length] ?? 0];
  const pads = (x.order ?? x.shape.map((_, i) => i)).map(of);
  const value = w.constant(node.input[2])?.data[0] ?? floatAttribute(node, 'value', 0);
  const ref = w.target.pad(node.name, x.ref, { pads, mode: stringAttribute(node, 'mode', 'constant'), value });
  w.set(output(node), { ...x, ref, shape: x.shape.map((d, i) => (d === null ? null : d + of(i)[0] + of(i)[1])) });
};

const slice: NodeWriter = (w, node) => {
  const x = first(w, node);
  const rank = x.shape.length;
  const [starts, ends] = [
    w.list(node, { input: 1, attribute: 'starts' }),
    w.list(node, { input: 2, attribute: 'ends' }),
  ];
  if (starts === null || ends === null) throw w.fail(node, 'a computed slice is not');
  const axes = w.list(node, { input: 3, attribute: 'axes' }) ?? starts.map((_, i) => i);
  const steps = w.list(node, { input: 4, attribute: 'steps' }) ?? starts.map(() => 1);
  const begin = x.shape.map(() => 0);
  const end: (number | null)[] = x.shape.map(() => null);
  const step = x.shape.map(() => 1);
  const shape = [...x.shape];
  axes.forEach((axis, i) => {
    const at = place(x, axis);
    const [from, to, by] = [starts[i] ?? 0, ends[i] ?? 0, steps[i] ?? 1];
    begin[at] = from;
    end[at] = Math.abs(to) >= 2 ** 31 - 1 ? null : to;
    step[at] = by;
    const size = x.shape[normal(axis, rank)] ?? null;
    const clamp = (v: number) => Math.max(Math.min(v < 0 ? v + (size ?? 0) : v, size ?? 0), 0);
    shape[normal(axis, rank)] =
      size === null || by < 0 ? (by < 0 ? size : null) : Math.max(Math.ceil((clamp(to) - clamp(from)) / by), 0);
  });
  w.set(output(node), { ...x, ref: w.target.slice(node.name, x.ref, { begin, end, step }), shape });
};

const resize: NodeWriter = (w, node) => {
  const mode = stringAttribute(node, 'mode', 'nearest');
  const coordinates = stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel');
  const named = intsAttribute(node, 'axes');
  const scales = w.constant(node.input[w.model.opset < 11 ? 1 : 2]);
  const sizes = w.constant(node.input[3]);
  // Which axes are those of the picture shows where its channels are.
  const isLast = named?.includes(1) ?? (scales !== null && scales.data.length === 4 && (scales.data[1] ?? 1) !== 1);
  const order = isLast ? [0, 1, 2, 3] : channelsLast(4);
  const [row, column] = isLast ? [1, 2] : [2, 3];
  const x = w.ordered(first(w, node), order, node.name);
  const [h, wide] = [x.shape[row], x.shape[column]];
  const both = (all: ArrayLike<number>): [number, number] => {
    const axes = named ?? Array.from(all, (_, i) => i);
    return [all[axes.indexOf(row)] ?? 1, all[axes.indexOf(column)] ?? 1];
  };
  const by = scales !== null && scales.data.length > 0 ? both(scales.data) : null;
  const to =
    sizes === null ? [h, wide].map((d, i) => (d === null ? null : Math.floor(d * (by?.[i] ?? 1)))) : both(sizes.data);
  const known = ['asymmetric', 'align_corners', 'half_pixel', 'pytorch_half_pixel'].includes(coordinates);
  const rounding = stringAttribute(node, 'nearest_mode', 'round_prefer_floor');
  const halfPixelCenters = coordinates.endsWith('half_pixel');
  // From half a pixel, whole factors pick the same pixels as without.
  const exact =
    mode !== 'nearest' ||
    rounding === (coordinates === 'asymmetric' ? 'floor' : 'round_prefer_ceil') ||
    (halfPixelCenters && by?.every(Number.isInteger) === true);
  if ((mode !== 'nearest' && mode !== 'linear') || !known || !exact || (by === null && sizes === null))
    throw w.fail(node, `the mode ${mode}, ${coordinates}, ${rounding} is not`);
  const shape = x.shape.map((d, axis) => (axis === row ? (to[0] ?? null) : axis === column ? (to[1] ?? null) : d));
  const ref = w.target.resize(node.name, x.ref, {
    mode,
    sizes: to,
    scales: by,
    alignCorners: coordinates === 'align_corners',
    halfPixelCenters,
  });
  w.set(output(node), { ...x, ref, shape });
};

export const pick: NodeWriter = (w, node) => {
  const indices = w.constant(node.input[1]);
  const given = first(w, node);
  const axis = normal(intAttribute(node, 'axis', 0), given.shape.length);
  if (indices?.dims.length !== 1) throw w.fail(node, 'only a list of constant numbers is');
  const x =
    axis === 1 && given.shape.length > 2 ? w.ordered(given, channelsLast(given.shape.length), node.name) : given;
  const shape = x.shape.map((d, i) => (i === axis ? indices.data.length : d));
  const ref = w.target.gather(node.name, x.ref, {
    indices,
    axis: place(x, axis),
    shape: writtenShape(x.order, x.shape),
  });
  w.set(output(node), { ...x, ref, shape });
};

const split: NodeWriter = (w, node) => {
  const x = first(w, node);
  const axis = normal(intAttribute(node, 'axis', 0), x.shape.length);
  const size = x.shape[axis] ?? null;
  const count = node.output.length;
  const sizes =
    w.list(node, { input: 1, attribute: 'split' }) ?? (size === null ? null : node.output.map(() => size / count));
  if (sizes?.every(Number.isInteger) !== true) throw w.fail(node, 'its sizes are not known');
  const refs = w.target.split(node.name, x.ref, { axis: place(x, axis), sizes });
  node.output.forEach((name, i) =>
    w.set(name, { ...x, ref: refs[i] ?? '', shape: x.shape.map((d, at) => (at === axis ? (sizes[i] ?? null) : d)) }),
  );
};

const gelu: NodeWriter = (w, node) => {
  const x = first(w, node);
  const half: Weights = { dims: [], type: 'float32', data: Float32Array.of(Math.SQRT1_2), coding: null };
  const { target } = w;
  const { length } = x.shape;
  const inner = target.unary(
    `${node.name}/erf`,
    'Erf',
    target.binary(`${node.name}/scaled`, 'Mul', [x.ref, half], length),
  );
  const one = target.binary(`${node.name}/shifted`, 'Add', [inner, { ...half, data: Float32Array.of(1) }], length);
  const gate = target.binary(`${node.name}/halved`, 'Mul', [one, { ...half, data: Float32Array.of(0.5) }], length);
  w.set(output(node), { ...x, ref: target.binary(node.name, 'Mul', [x.ref, gate], length) });
};

const blocks: NodeWriter = (w, node) => {
  const up = operatorOf(node) === 'DepthToSpace';
  const size = intAttribute(node, 'blocksize', 1);
  const order = channelsLast(4);
  let x = w.ordered(first(w, node), order, node.name);
  const channels = x.shape[1] ?? null;
  if (channels === null) throw w.fail(node, 'its channels are not known');
  if (up && stringAttribute(node, 'mode', 'DCR') !== 'DCR') {
    const wide = channels / size ** 2;
    const indices = Int32Array.from({ length: channels }, (_, i) => (i % wide) * size ** 2 + Math.floor(i / wide));
    const list: Weights = { dims: [channels], type: 'int32', data: indices, coding: null };
    x = {
      ...x,
      ref: w.target.gather(`${node.name}/order`, x.ref, {
        indices: list,
        axis: 3,
        shape: writtenShape(order, x.shape),
      }),
    };
  }
  const ref = w.target.operator(node.name, operatorOf(node), [x.ref], {
    block_size: { i: String(size) },
    data_format: { s: Buffer.from('NHWC').toString('base64') },
  });
  const by = up ? size : 1 / size;
  const shape = x.shape.map((d, i) => (d === null || i === 0 ? d : i === 1 ? d / by ** 2 : d * by));
  w.set(output(node), { ...x, ref, shape });
};

const all = (of: Record<string, string>, make: (operator: string) => NodeWriter) =>
  Object.fromEntries(Object.entries(of).map(([name, operator]) => [name, make(operator)]));

export const PLAIN_WRITERS: Readonly<Record<string, NodeWriter>> = {
  ...all(
    {
      Relu: 'Relu',
      Sigmoid: 'Sigmoid',
      Tanh: 'Tanh',
      Softplus: 'Softplus',
      Softsign: 'Softsign',
      Selu: 'Selu',
      Exp: 'Exp',
      Erf: 'Erf',
      Neg: 'Neg',
      Abs: 'Abs',
      Sqrt: 'Sqrt',
      Log: 'Log',
      Floor: 'Floor',
      Ceil: 'Ceil',
      Round: 'Round',
      Sign: 'Sign',
      Reciprocal: 'Reciprocal',
      Sin: 'Sin',
      Cos: 'Cos',
      HardSwish: 'HardSwish',
    },
    unary,
  ),
  LeakyRelu: unary('LeakyRelu', (node) => floatAttribute(node, 'alpha', 0.01)),
  Elu: unary('Elu', (node) => floatAttribute(node, 'alpha', 1)),
  HardSigmoid: (w, node) => {
    if (Math.abs(floatAttribute(node, 'alpha', 0.2) - 0.2) > 1e-6) throw w.fail(node, 'a slope other than 0.2 is not');
    unary('HardSigmoid')(w, node);
  },
  Gelu: gelu,
  ...all(
    {
      Add: 'AddV2',
      Sub: 'Sub',
      Mul: 'Mul',
      Div: 'RealDiv',
      Max: 'Maximum',
      Min: 'Minimum',
      Pow: 'Pow',
      Greater: 'Greater',
      Less: 'Less',
      Equal: 'Equal',
    },
    binary,
  ),
  ...all({ ReduceMean: 'Mean', ReduceSum: 'Sum', ReduceMax: 'Max', ReduceMin: 'Min', ReduceProd: 'Prod' }, (operator) =>
    reduce(operator),
  ),
  GlobalAveragePool: reduce('Mean', true),
  GlobalMaxPool: reduce('Max', true),
  Softmax: softmax('Softmax'),
  LogSoftmax: softmax('LogSoftmax'),
  ...{
    Identity: same,
    Dropout: same,
    Clip: clip,
    PRelu: prelu,
    Concat: concat,
    Transpose: transpose,
    Reshape: reshape,
    Flatten: flatten,
  },
  ...{
    Squeeze: squeeze,
    Unsqueeze: unsqueeze,
    Pad: pad,
    Slice: slice,
    Resize: resize,
    Upsample: resize,
    Split: split,
  },
  ...{ DepthToSpace: blocks, SpaceToDepth: blocks },
};
