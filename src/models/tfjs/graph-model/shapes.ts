import { makeInt, makeString } from '../../ir/attributes.js';
import { elementwise } from '../build/elementwise.js';
import {
  concat,
  pad,
  placeOf,
  reduce,
  reshape,
  resize,
  slice,
  squeeze,
  TO_END,
  transpose,
  unsqueeze,
  type Cut,
} from '../build/shape-ops.js';
import { normalAxis, type Value } from '../build/value.js';
import type { NodeContext, OperatorReader } from './node.js';

const reduction =
  (operator: string): OperatorReader =>
  (node) =>
    reduce(node.b, operator, node.input(0), { axes: node.ints(1, 'the axes'), keep: node.flag('keep_dims') });

const argument =
  (operator: string): OperatorReader =>
  (node) => {
    const x = node.b.plain(node.input(0));
    const [axis = 0] = node.ints(1, 'the axis');
    const attributes = [makeInt('axis', axis), makeInt('keepdims', 0)];
    return node.b.emit(operator, [x], { attributes, type: 'int64', rank: x.rank === null ? null : x.rank - 1 });
  };

/** A shape that is computed in the graph goes on as it is. */
const reshapeReader: OperatorReader = (node) => {
  const shape = node.input(1);
  const x = node.input(0);
  if (shape.constant !== null) return reshape(node.b, x, Array.from(shape.constant.data));
  return node.b.emit('Reshape', [node.b.plain(x), node.b.plain(shape)], { order: null, rank: null });
};

const squeezeReader: OperatorReader = (node) => {
  const named = node.numbers('squeeze_dims');
  const axes = named.length > 0 ? named : node.numbers('axis');
  if (axes.length > 0) return squeeze(node.b, node.input(0), axes);
  return node.b.emit('Squeeze', [node.b.plain(node.input(0))], { order: null, rank: null });
};

const packReader: OperatorReader = (node) => {
  const rank = node.input(0).rank;
  const axis = node.number('axis', 0);
  const place = axis < 0 ? axis + (rank ?? node.rank) + 1 : axis;
  return concat(
    node.b,
    node.inputs.map((value) => unsqueeze(node.b, value, [place])),
    place,
  );
};

function pieces(
  node: NodeContext,
  x: Value,
  { axis, count, sizes }: { axis: number; count: number; sizes: number[] | null },
): Value[] {
  const { b } = node;
  const place = placeOf(x, axis);
  const inputs = [b.tensor(x), ...(sizes === null ? [] : [b.ints(sizes)])];
  const attributes = [makeInt('axis', place), ...(sizes === null ? [makeInt('num_outputs', count)] : [])];
  return b.node('Split', inputs, attributes, count).map((tensor): Value => ({ ...x, tensor, constant: null }));
}

const splitReader: OperatorReader = (node) => {
  const [axis = 0] = node.ints(0, 'the axis');
  return pieces(node, node.input(1), { axis, count: node.number('num_split', 1), sizes: null });
};

const splitSizes: OperatorReader = (node) => {
  const sizes = node.ints(1, 'the sizes');
  const [axis = 0] = node.ints(2, 'the axis');
  if (sizes.some((size) => size < 0)) throw node.b.fail('a size that is worked out (-1) is not read: write it');
  return pieces(node, node.input(0), { axis, count: sizes.length, sizes });
};

const unpackReader: OperatorReader = (node) => {
  const given = node.number('axis', 0);
  const axis = given < 0 ? normalAxis(given, node.rank) : given;
  const count = node.number('num', 0);
  if (!(count > 0)) throw node.b.fail('into how many pieces it unpacks is not known');
  return pieces(node, node.b.plain(node.input(0)), { axis, count, sizes: null }).map((value) =>
    squeeze(node.b, value, [axis]),
  );
};

const sliceReader: OperatorReader = (node) => {
  const begins = node.ints(1, 'the begin');
  const sizes = node.ints(2, 'the size');
  const cuts = begins.map((begin, axis): Cut => {
    const size = sizes[axis] ?? -1;
    return { axis, begin, end: size < 0 ? TO_END : begin + size };
  });
  return slice(
    node.b,
    node.input(0),
    cuts.filter(({ begin, end }) => begin !== 0 || end !== TO_END),
  );
};

/** As NumPy's `x[begin:end:step, newaxis, ..., i]`. */
const stridedSlice: OperatorReader = (node) => {
  const begins = node.ints(1, 'the begin');
  const ends = node.ints(2, 'the end');
  const steps = node.ints(3, 'the strides');
  const bit = (name: string, i: number): boolean => ((node.number(name, 0) >> i) & 1) === 1;
  let x = node.input(0);
  const cuts: Cut[] = [];
  const shrink: number[] = [];
  const fresh: number[] = [];
  const own = begins.filter((_, i) => !bit('new_axis_mask', i) && !bit('ellipsis_mask', i)).length;
  let axis = 0;
  let made = 0;
  begins.forEach((begin, i) => {
    if (bit('ellipsis_mask', i)) {
      const skipped = node.rank - own;
      axis += skipped;
      made += skipped;
      return;
    }
    if (bit('new_axis_mask', i)) {
      fresh.push(made++);
      return;
    }
    const step = steps[i] ?? 1;
    if (bit('shrink_axis_mask', i)) {
      cuts.push({ axis, begin, end: begin === -1 ? TO_END : begin + 1 });
      shrink.push(axis++);
      return;
    }
    const from = bit('begin_mask', i) ? (step > 0 ? 0 : TO_END) : begin;
    const to = bit('end_mask', i) ? (step > 0 ? TO_END : -TO_END) : (ends[i] ?? TO_END);
    if (from !== 0 || to !== TO_END || step !== 1) cuts.push({ axis, begin: from, end: to, step });
    axis++;
    made++;
  });
  x = slice(node.b, x, cuts);
  if (shrink.length > 0) x = squeeze(node.b, x, shrink);
  return fresh.length > 0 ? unsqueeze(node.b, x, fresh) : x;
};

function padsOf(node: NodeContext): [number, number][] {
  const all = node.ints(1, 'the padding');
  return Array.from({ length: all.length / 2 }, (_, i) => [all[2 * i] ?? 0, all[2 * i + 1] ?? 0]);
}

const mirrorPad: OperatorReader = (node) => {
  if (node.text('mode', 'REFLECT') !== 'REFLECT') throw node.b.fail('symmetric padding is not read: use reflect');
  return pad(node.b, node.input(0), padsOf(node), { mode: 'reflect' });
};

const resizeReader =
  (mode: 'nearest' | 'linear'): OperatorReader =>
  (node) =>
    resize(node.b, node.input(0), {
      ...{ size: { sizes: node.ints(1, 'the size') }, mode },
      ...{ alignCorners: node.flag('align_corners'), halfPixelCenters: node.flag('half_pixel_centers') },
    });

const gather: OperatorReader = (node) => {
  const { b } = node;
  const [axis = 0] = node.inputs.length > 2 ? node.ints(2, 'the axis') : [0];
  if (node.number('batch_dims', 0) !== 0) throw b.fail('a Gather of a row for every sample is not read');
  const indices = node.input(1);
  const lists = indices.rank === 1;
  const x = lists ? node.input(0) : b.plain(node.input(0));
  const rank = x.rank === null || indices.rank === null ? null : x.rank + indices.rank - 1;
  return b.emit('Gather', [x, b.plain(indices)], {
    attributes: [makeInt('axis', placeOf(x, axis))],
    order: x.order,
    rank,
    type: x.type,
  });
};

const gatherPlaces: OperatorReader = ({ b, inputs: [x, indices] }) => {
  if (x === undefined || indices === undefined) throw b.fail('it lacks an input');
  return b.emit('GatherND', [b.plain(x), b.plain(indices)], { order: null, rank: null });
};

const largest: OperatorReader = (node) => {
  const { b } = node;
  const x = b.plain(node.input(0));
  const [values = '', places = ''] = b.node('TopK', [b.tensor(x), b.ints([node.ints(1, 'how many')[0] ?? 1])], [], 2);
  const made = { order: null, rank: x.rank, constant: null };
  return [
    { ...made, tensor: values, type: x.type },
    { ...made, tensor: places, type: 'int64' },
  ];
};

/** Blocks of channels become blocks of pixels, and back. */
const blocks =
  (operator: string): OperatorReader =>
  (node) => {
    const attributes = [
      makeInt('blocksize', node.number('block_size', 2)),
      ...(operator === 'DepthToSpace' ? [makeString('mode', 'DCR')] : []),
    ];
    const order = node.channelsFirst ? [0, 1, 2, 3] : [0, 3, 1, 2];
    return node.b.emit(operator, [node.b.ordered(node.input(0), order)], {
      attributes,
      order: node.channelsFirst ? null : order,
    });
  };

const fill: OperatorReader = (node) => {
  const { b } = node;
  const [value = 0] = node.ints(1, 'the value');
  const { constant } = node.input(0);
  if (constant !== null) {
    const dims = Array.from(constant.data);
    const count = dims.reduce((a, c) => a * c, 1);
    if (!(count <= 2 ** 24)) throw b.fail('it fills more than 16 million values');
    return b.floats(dims, new Float32Array(count).fill(value));
  }
  const one = b.emit('Expand', [b.scalar(value), b.plain(node.input(0))], { rank: null });
  return one;
};

const like =
  (value: number): OperatorReader =>
  (node) => {
    const x = node.input(0);
    return elementwise(node.b, 'Add', [elementwise(node.b, 'Mul', [x, node.b.scalar(0)]), node.b.scalar(value)]);
  };

const shape: OperatorReader = (node) =>
  node.b.emit('Shape', [node.b.plain(node.input(0))], { order: null, rank: 1, type: 'int64' });

export const SHAPES: Readonly<Record<string, OperatorReader>> = {
  Mean: reduction('ReduceMean'),
  Sum: reduction('ReduceSum'),
  Max: reduction('ReduceMax'),
  Min: reduction('ReduceMin'),
  Prod: reduction('ReduceProd'),
  ArgMax: argument('ArgMax'),
  ArgMin: argument('ArgMin'),
  Reshape: reshapeReader,
  Squeeze: squeezeReader,
  ExpandDims: (node) => {
    const [axis = 0] = node.ints(1, 'the axis');
    const { rank } = node.input(0);
    return unsqueeze(node.b, node.input(0), [axis < 0 && rank !== null ? axis + rank + 1 : axis]);
  },
  Transpose: (node) => transpose(node.input(0), node.ints(1, 'the permutation')),
  ConcatV2: (node) => concat(node.b, node.inputs.slice(0, -1), node.ints(-1, 'the axis')[0] ?? -1),
  Concat: (node) => concat(node.b, node.inputs.slice(1), node.ints(0, 'the axis')[0] ?? -1),
  Pack: packReader,
  Unpack: unpackReader,
  Split: splitReader,
  SplitV: splitSizes,
  Slice: sliceReader,
  StridedSlice: stridedSlice,
  Pad: (node) => pad(node.b, node.input(0), padsOf(node)),
  PadV2: (node) => pad(node.b, node.input(0), padsOf(node), { value: node.ints(2, 'the value')[0] ?? 0 }),
  MirrorPad: mirrorPad,
  Tile: (node) => {
    const times = node.ints(1, 'how often it repeats');
    return node.b.emit('Tile', [node.b.plain(node.input(0)), node.b.ints(times)]);
  },
  GatherV2: gather,
  GatherNd: gatherPlaces,
  TopKV2: largest,
  Gather: gather,
  ResizeBilinear: resizeReader('linear'),
  ResizeNearestNeighbor: resizeReader('nearest'),
  DepthToSpace: blocks('DepthToSpace'),
  SpaceToDepth: blocks('SpaceToDepth'),
  Shape: shape,
  Fill: fill,
  ZerosLike: like(0),
  OnesLike: like(1),
};
