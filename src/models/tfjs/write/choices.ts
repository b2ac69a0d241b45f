import { intAttribute } from '../../ir/attributes.js';
import { DataType, type NodeProto } from '../../ir/messages.js';
import { operatorOf } from '../../ir/operator.js';
import { binary, pick, unary } from './plain-nodes.js';
import type { Ref, Shape, Weights } from './target.js';
import type { NodeWriter, Walker } from './walker.js';

/** What is compared, chosen, ordered and counted: only a graph has forms for it. */

const TYPES: Readonly<Record<number, string>> = {
  [DataType.FLOAT]: 'DT_FLOAT',
  [DataType.DOUBLE]: 'DT_FLOAT',
  [DataType.INT64]: 'DT_INT32',
  [DataType.INT32]: 'DT_INT32',
  [DataType.BOOL]: 'DT_BOOL',
};

const integers = (dims: number[], ...values: number[]): Weights => ({
  ...{ dims, type: 'int32', data: Int32Array.from(values), coding: null },
});

/** An input with its axes as they are. */
function plain(w: Walker, node: NodeProto, i: number): { ref: Ref | Weights; shape: Shape } {
  const name = node.input[i] ?? '';
  const constant = w.has(name) ? null : w.constant(name);
  return constant === null ? w.plain(w.get(name), node.name) : { ref: constant, shape: constant.dims };
}

const set = (w: Walker, name: string | undefined, ref: Ref, shape: Shape): void =>
  w.set(name ?? '', { ref, order: null, shape });

const cast: NodeWriter = (w, node) => {
  const x = w.get(node.input[0] ?? '');
  const type = TYPES[intAttribute(node, 'to', 0)];
  if (type === undefined) throw w.fail(node, 'a cast to that type is not');
  w.set(node.output[0] ?? '', { ...x, ref: w.target.operator(node.name, 'Cast', [x.ref], { DstT: { type } }) });
};

const where: NodeWriter = (w, node) => {
  const all = [0, 1, 2].map((i) => plain(w, node, i));
  const rank = Math.max(...all.map(({ shape }) => shape.length));
  const shape = Array.from({ length: rank }, (_, axis) => {
    const sizes = all.map((value) => value.shape[axis - rank + value.shape.length]);
    return sizes.find((size) => size !== undefined && size !== 1) ?? (sizes.includes(null) ? null : 1);
  });
  const inputs = all.map(({ ref }) => ref);
  set(w, node.output[0], w.target.operator(node.name, 'SelectV2', inputs, {}), shape);
};

const largest: NodeWriter = (w, node) => {
  const { ref, shape } = plain(w, node, 0);
  const given = intAttribute(node, 'axis', 0);
  const axis = given < 0 ? given + shape.length : given;
  const place = integers([], axis);
  const keep = intAttribute(node, 'keepdims', 1) !== 0;
  const found = w.target.operator(keep ? `${node.name}/place` : node.name, operatorOf(node), [ref, place], {});
  const result = keep ? w.target.operator(node.name, 'ExpandDims', [found, place], {}) : found;
  const left = shape.flatMap((size, i) => (i === axis ? (keep ? [1] : []) : [size]));
  set(w, node.output[0], result, left);
};

const ordered: NodeWriter = (w, node) => {
  const { ref, shape } = plain(w, node, 0);
  const k = w.constant(node.input[1])?.data[0];
  const axis = intAttribute(node, 'axis', -1);
  if (k === undefined || (axis !== -1 && axis !== shape.length - 1) || intAttribute(node, 'largest', 1) === 0)
    throw w.fail(node, 'only the largest of the last axis, and as many as is known, are');
  const own = w.target.operator(node.name, 'TopKV2', [ref, integers([], k)], { sorted: { b: true } });
  const sizes = [...shape.slice(0, -1), k];
  set(w, node.output[0], own, sizes);
  if ((node.output[1] ?? '') !== '') set(w, node.output[1], `${own}:1`, sizes);
};

/** By a constant list as the other layers, by places that are computed as a graph does it. */
const gather: NodeWriter = (w, node) => {
  const indices = plain(w, node, 1);
  if (typeof indices.ref !== 'string' && indices.shape.length === 1) {
    pick(w, node);
    return;
  }
  const x = plain(w, node, 0);
  const given = intAttribute(node, 'axis', 0);
  const axis = given < 0 ? given + x.shape.length : given;
  const inputs = [x.ref, indices.ref, integers([], axis)];
  const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
  set(w, node.output[0], w.target.operator(node.name, 'GatherV2', inputs, { batch_dims: { i: '0' } }), shape);
};

const tile: NodeWriter = (w, node) => {
  const { ref, shape } = plain(w, node, 0);
  const times = w.constant(node.input[1]);
  if (times === null) throw w.fail(node, 'how often it repeats is computed');
  const sizes = shape.map((size, i) => (size === null ? null : size * (times.data[i] ?? 1)));
  set(w, node.output[0], w.target.operator(node.name, 'Tile', [ref, times], {}), sizes);
};

const gatherPlaces: NodeWriter = (w, node) => {
  const [x, indices] = [plain(w, node, 0), plain(w, node, 1)];
  const depth = indices.shape.at(-1) ?? null;
  if (depth === null || intAttribute(node, 'batch_dims', 0) !== 0) throw w.fail(node, 'rows of every sample are not');
  const shape = [...indices.shape.slice(0, -1), ...x.shape.slice(depth)];
  set(w, node.output[0], w.target.operator(node.name, 'GatherNd', [x.ref, indices.ref], {}), shape);
};

export const CHOICE_WRITERS: Readonly<Record<string, NodeWriter>> = {
  ...{ Cast: cast, Where: where, ArgMax: largest, ArgMin: largest, TopK: ordered, Tile: tile, GatherND: gatherPlaces },
  Gather: gather,
  GreaterOrEqual: binary('GreaterEqual'),
  LessOrEqual: binary('LessEqual'),
  And: binary('LogicalAnd'),
  Or: binary('LogicalOr'),
  Mod: binary('FloorMod'),
  Not: unary('LogicalNot'),
  IsNaN: unary('IsNan'),
  ...Object.fromEntries(['Tan', 'Asin', 'Acos', 'Atan', 'Sinh', 'Cosh'].map((name) => [name, unary(name)])),
};
