import { blocksOf, type SparsePart } from '../../sparse.js';
import { makeInt, makeInts, makeNode } from '../protobuf/attributes.js';
import type { LayerBuilder } from './layer-builder.js';
import type { NodeProto } from '../protobuf/messages.js';
import { int64Tensor } from '../protobuf/tensors.js';

/**
 * The sparse part by itself, from the layer's input to `to`, in the fastest standard form that was measured.
 * @param bias [m], or null: something else adds it
 */
export function sparseBranch(b: LayerBuilder, part: SparsePart, bias: Float32Array | null, to: string): NodeProto[] {
  const { kept, weights } = part;
  const { m, channels, input } = b.layer;
  const d = channels * b.taps;
  switch (part.pattern) {
    case 'channel': {
      b.check(weights.length, m * kept.length * b.taps, 'sparse weights');
      if (kept.length === channels) return b.linear('sparse', input, to, weights, channels, bias, true);
      checkKept(b.layer.name, kept, channels, 'channels');
      const gathered = b.fresh('kept');
      const linear = b.linear('sparse', gathered, to, weights, kept.length, bias, true);
      return [b.gather(input, kept, gathered), ...linear];
    }
    case 'filter':
      checkKept(b.layer.name, kept, m, 'filters');
      b.check(weights.length, kept.length * d, 'sparse weights');
      return filters(b, part, bias ?? new Float32Array(m), to);
    case 'column':
      checkKept(b.layer.name, kept, d, 'columns');
      b.check(weights.length, m * kept.length, 'sparse weights');
      return columns(b, part, bias, to);
    case 'block':
      b.check(weights.length, m * d, 'sparse weights');
      if (b.layer.op !== 'MatMul') return blocks(b, part, bias, to);
      return b.linear('sparse', input, to, weights, channels, bias, true);
    case 'n:m':
    case 'unstructured':
      b.check(weights.length, m * d, 'sparse weights');
      return b.linear('sparse', input, to, weights, channels, bias, true);
  }
}

/** @throws {RangeError} unless the numbers ascend within [0, total) */
export function checkKept(layer: string, kept: readonly number[], total: number, what: string): void {
  if (kept.length === 0 || kept.some((k, i) => !(k >= 0 && k < total) || (i > 0 && k <= (kept[i - 1] ?? 0))))
    throw new RangeError(`${layer}: kept ${what} must ascend within 0 to ${String(total - 1)}`);
}

/** 0 to total - 1 without the kept ones. */
export function others(kept: readonly number[], total: number): number[] {
  const taken = new Set(kept);
  return Array.from({ length: total }, (_, i) => i).filter((i) => !taken.has(i));
}

/** Some rows of a [total, width]. */
export function pickRows(a: Float32Array, total: number, rows: readonly number[]): Float32Array {
  const width = a.length / total;
  const out = new Float32Array(rows.length * width);
  rows.forEach((row, i) => out.set(a.subarray(row * width, (row + 1) * width), i * width));
  return out;
}

/**
 * A narrower layer whose outputs are then put in their places; the other outputs are constant. Convolutions: every output
 * takes some kept one and a factor of 1 or 0, which is less than a product with unit vectors.
 */
function filters(b: LayerBuilder, { kept, weights }: SparsePart, bias: Float32Array, to: string): NodeProto[] {
  const { m, channels, input, op, kernel } = b.layer;
  const narrow = b.fresh('filters');
  const nodes = b.linear('sparse', input, narrow, weights, channels, null, true);
  if (op !== 'Conv') {
    const unit = new Float32Array(m * kept.length);
    kept.forEach((row, i) => (unit[row * kept.length + i] = 1));
    return [...nodes, ...b.linear('places', narrow, to, unit, kept.length, bias, false)];
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
}

/** The channel of every column, one tap of it by a depthwise convolution, then 1x1. */
function columns(b: LayerBuilder, { kept, weights }: SparsePart, bias: Float32Array | null, to: string): NodeProto[] {
  const { kernel, input } = b.layer;
  const { taps } = b;
  const gathered = b.fresh('kept');
  const channels = kept.map((column) => Math.floor(column / taps));
  const gather = b.gather(input, channels, gathered);
  if (taps === 1) return [gather, ...b.linear('sparse', gathered, to, weights, kept.length, bias, true)];
  const pick = new Float32Array(kept.length * taps);
  kept.forEach((column, i) => (pick[i * taps + (column % taps)] = 1));
  const picked = b.fresh('taps');
  const name = b.tensor('tap_weight', [kept.length, 1, ...kernel], pick);
  const depthwise = [...b.geometry(), makeInt('group', kept.length)];
  return [
    gather,
    makeNode('Conv', b.fresh('pick_taps'), [gathered, name], [picked], depthwise),
    ...b.linear('sparse', picked, to, weights, kept.length, bias, false),
  ];
}

/** One convolution in groups: every block of outputs has its own inputs side by side. */
function blocks(b: LayerBuilder, { kept, weights }: SparsePart, bias: Float32Array | null, to: string): NodeProto[] {
  const { m, channels, input, op, kernel, name } = b.layer;
  const { taps } = b;
  const block = blocksOf(b.layer);
  const perRow = kept.length / block.rows;
  checkKept(name, kept, block.rows * block.columns, 'blocks');
  const width = perRow * block.inputs;
  const order: number[] = [];
  const compact = new Float32Array(m * width * taps);
  kept.forEach((index, i) => {
    const row = Math.floor(index / block.columns);
    if (row !== Math.floor(i / perRow)) throw new RangeError(`${name}: every block of outputs keeps as many blocks`);
    const from = (index % block.columns) * block.inputs;
    for (let c = 0; c < block.inputs; c++) order.push(from + c);
    for (let o = row * block.outputs; o < (row + 1) * block.outputs; o++) {
      const at = (o * channels + from) * taps;
      const values = weights.subarray(at, at + block.inputs * taps);
      compact.set(values, (o * width + (i % perRow) * block.inputs) * taps);
    }
  });
  const gathered = b.fresh('kept');
  const nodes = [b.gather(input, order, gathered)];
  const axes = op === 'Conv' ? kernel : [1];
  const inputs = (from: string) => [
    from,
    b.tensor('sparse_weight', [m, width, ...axes], compact),
    ...(bias === null ? [] : [b.tensor('sparse_bias', [m], bias)]),
  ];
  const group = makeInt('group', block.rows);
  if (op === 'Conv') {
    nodes.push(makeNode('Conv', b.fresh('sparse'), inputs(gathered), [to], [...b.geometry(), group]));
    return nodes;
  }
  const [line, summed] = [b.fresh('line'), b.fresh('line_sum')];
  const shape = (part: string, dims: number[]) => {
    const shapeName = b.fresh(part);
    b.initializer.push(int64Tensor(shapeName, [dims.length], dims));
    return shapeName;
  };
  nodes.push(
    makeNode('Reshape', b.fresh('to_line'), [gathered, shape('line_shape', [0, -1, 1])], [line]),
    makeNode('Conv', b.fresh('sparse'), inputs(line), [summed], [makeInts('kernel_shape', [1]), group]),
    makeNode('Reshape', b.fresh('from_line'), [summed, shape('row_shape', [0, -1])], [to]),
  );
  return nodes;
}
