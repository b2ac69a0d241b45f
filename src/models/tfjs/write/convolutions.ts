import { intAttribute, intsAttribute, floatAttribute, stringAttribute } from '../../ir/attributes.js';
import type { NodeProto } from '../../ir/messages.js';
import { isOperator } from '../../ir/operator.js';
import type { Shape, Weights } from './target.js';
import { channelsLast, type NodeWriter, type Walker, type Written } from './walker.js';

interface Frame {
  padding: 'same' | 'valid';
  /** What has to be put around the input first. */
  pads: [number, number][] | null;
}

/** What the attributes put around the input, in the words of TensorFlow. */
function frame(node: NodeProto, size: number[], strides: number[], dilations: number[]): Frame {
  const auto = stringAttribute(node, 'auto_pad', 'NOTSET');
  if (auto === 'SAME_UPPER') return { padding: 'same', pads: null };
  const zeros = size.map((): [number, number] => [0, 0]);
  const given = intsAttribute(node, 'pads') ?? [];
  const pads =
    auto === 'VALID' ? zeros : size.map((_, i): [number, number] => [given[i] ?? 0, given[i + size.length] ?? 0]);
  if (pads.every(([before, after]) => before === 0 && after === 0)) return { padding: 'valid', pads: null };
  const same = size.every((k, i) => {
    const total = (k - 1) * (dilations[i] ?? 1);
    return strides[i] === 1 && pads[i]?.[0] === Math.floor(total / 2) && pads[i]?.[1] === total - Math.floor(total / 2);
  });
  return same ? { padding: 'same', pads: null } : { padding: 'valid', pads };
}

const ones = (size: number[]): number[] => size.map(() => 1);

/** Size of every spatial axis behind a window. */
function behindWindow(
  shape: Shape,
  {
    size,
    strides,
    dilations,
    padding,
  }: { size: number[]; strides: number[]; dilations: number[]; padding: Frame['padding'] },
): Shape {
  return size.map((k, i) => {
    const from = shape[i] ?? null;
    const stride = strides[i] ?? 1;
    if (from === null) return null;
    return padding === 'same'
      ? Math.ceil(from / stride)
      : Math.floor((from - (k - 1) * (dilations[i] ?? 1) - 1) / stride) + 1;
  });
}

interface Padding {
  pads: [number, number][] | null;
  value?: number;
}

function padded(w: Walker, node: NodeProto, x: Written, { pads, value = 0 }: Padding): Written {
  if (pads === null) return x;
  const all: [number, number][] = [[0, 0], ...pads, [0, 0]];
  const shape = x.shape.map((d, axis) =>
    d === null || axis < 2 ? d : d + (pads[axis - 2]?.[0] ?? 0) + (pads[axis - 2]?.[1] ?? 0),
  );
  return { ...x, ref: w.target.pad(`${node.name}/pad`, x.ref, { pads: all, mode: 'constant', value }), shape };
}

/** Whether zero is one of the steps. */
const holdsZero = ({ scale, min }: { scale: number; min: number }): boolean =>
  Math.abs(min / scale - Math.round(min / scale)) < 1e-3;

/** Groups as one convolution with zeros between them; TensorFlow.js has no other form. */
function ungrouped({ dims, data, ...rest }: Weights, groups: number): Weights {
  if (groups === 1) return { dims, data, ...rest };
  const [rows = 0, inputs = 0, ...size] = dims;
  const taps = size.reduce((a, b) => a * b, 1);
  const wide = new Float32Array(rows * inputs * groups * taps);
  for (let row = 0; row < rows; row++) {
    const group = Math.floor(row / (rows / groups));
    wide.set(
      Float32Array.from(data.subarray(row * inputs * taps, (row + 1) * inputs * taps)),
      (row * inputs * groups + group * inputs) * taps,
    );
  }
  return {
    ...rest,
    dims: [rows, inputs * groups, ...size],
    data: wide,
    coding: rest.coding?.type === 'uint8' && !holdsZero(rest.coding) ? null : rest.coding,
  };
}

const convolution: NodeWriter = (w, node) => {
  const weights = w.constant(node.input[1]);
  const bias = (node.input[2] ?? '') === '' ? null : w.constant(node.input[2]);
  if (weights === null || weights.dims.length > 4)
    throw w.fail(node, weights === null ? 'its weights are computed' : 'it has three spatial axes');
  const [rows = 0, inputs = 0, ...size] = weights.dims;
  const group = intAttribute(node, 'group', 1);
  const strides = intsAttribute(node, 'strides') ?? ones(size);
  const dilations = intsAttribute(node, 'dilations') ?? ones(size);
  const spatial = size.map((_, i) => i + 2);
  const { padding, pads } = frame(node, size, strides, dilations);
  const order = channelsLast(weights.dims.length);
  const x = padded(w, node, w.ordered(w.get(node.input[0] ?? ''), order, node.name), { pads });
  // A separate filter for every channel; with one channel it is a plain convolution.
  const depthwise = group > 1 && inputs === 1 && size.length === 2 && strides[0] === strides[1];
  const kernel = depthwise
    ? w.reordered({ ...weights, dims: [group, rows / group, ...size] }, [...spatial, 0, 1])
    : w.reordered(
        w.made(weights, `${String(group)} groups`, () => ungrouped(weights, group)),
        [...spatial, 1, 0],
      );
  const shape = [x.shape[0] ?? null, rows, ...behindWindow(x.shape.slice(2), { size, strides, dilations, padding })];
  const { activation, output } = w.activationBehind(node.output[0] ?? '');
  const kind = depthwise ? 'depthwise' : 'plain';
  const ref = w.target.convolution(
    node.name,
    x.ref,
    { kernel, bias, strides, dilations, padding, kind, activation },
    order.map((axis) => shape[axis] ?? null),
  );
  w.set(output, { ref, order, shape });
};

const transposed: NodeWriter = (w, node) => {
  const weights = w.constant(node.input[1]);
  const bias = (node.input[2] ?? '') === '' ? null : w.constant(node.input[2]);
  if (weights?.dims.length !== 4 || intAttribute(node, 'group', 1) !== 1)
    throw w.fail(node, 'only constant weights without groups in two dimensions are');
  const [, rows = 0, ...size] = weights.dims;
  const strides = intsAttribute(node, 'strides') ?? ones(size);
  const dilations = intsAttribute(node, 'dilations') ?? ones(size);
  const given = intsAttribute(node, 'pads') ?? [0, 0, 0, 0];
  const more = intsAttribute(node, 'output_padding') ?? [0, 0];
  if (
    dilations.some((d) => d !== 1) ||
    stringAttribute(node, 'auto_pad', 'NOTSET') !== 'NOTSET' ||
    intsAttribute(node, 'output_shape') !== null
  )
    throw w.fail(node, 'dilations, auto_pad and output_shape of a transposed convolution are not');
  const over = size.map((k, i) => k - (strides[i] ?? 1));
  const is = (cut: (extra: number) => number) =>
    over.every(
      (extra, i) =>
        (given[i] ?? 0) === Math.floor(cut(extra) / 2) &&
        (given[i + 2] ?? 0) === cut(extra) - Math.floor(cut(extra) / 2) &&
        (more[i] ?? 0) === Math.max(-extra, 0),
    );
  const padding = is((extra) => Math.max(extra, 0)) ? 'same' : 'valid';
  const order = channelsLast(4);
  const x = w.ordered(w.get(node.input[0] ?? ''), order, node.name);
  const kernel = w.reordered(weights, [2, 3, 1, 0]);
  const whole = size.map((k, i) => {
    const from = x.shape[i + 2] ?? null;
    const stride = strides[i] ?? 1;
    return from === null ? null : padding === 'same' ? from * stride : (from - 1) * stride + Math.max(k, stride);
  });
  const ref = w.target.convolution(
    node.name,
    x.ref,
    { kernel, bias, strides, dilations, padding, kind: 'transposed', activation: 'linear' },
    [x.shape[0] ?? null, ...whole, rows],
  );
  if (padding === 'same' || is(() => 0)) {
    w.set(node.output[0] ?? '', { ref, order, shape: [x.shape[0] ?? null, rows, ...whole] });
    return;
  }
  if (over.some((extra) => extra < 0) || more.some((m) => m !== 0)) throw w.fail(node, 'its output padding is not');
  const end = [null, ...size.map((_, i) => (given[i + 2] ? -given[i + 2] : null)), null];
  const cut = w.target.slice(`${node.name}/cut`, ref, { begin: [0, ...given.slice(0, 2), 0], end, step: [1, 1, 1, 1] });
  const shape = [
    x.shape[0] ?? null,
    rows,
    ...whole.map((d, i) => (d === null ? null : d - (given[i] ?? 0) - (given[i + 2] ?? 0))),
  ];
  w.set(node.output[0] ?? '', { ref: cut, order, shape });
};

const pool: NodeWriter = (w, node) => {
  const size = intsAttribute(node, 'kernel_shape') ?? [];
  const strides = intsAttribute(node, 'strides') ?? ones(size);
  const max = isOperator(node, 'MaxPool');
  if (size.length > 2) throw w.fail(node, 'it has three spatial axes');
  if (intAttribute(node, 'ceil_mode', 0) !== 0 || (intsAttribute(node, 'dilations') ?? []).some((d) => d !== 1))
    throw w.fail(node, 'ceil_mode and dilations of pooling are not');
  const { padding, pads } = frame(node, size, strides, ones(size));
  const counted = intAttribute(node, 'count_include_pad', 0) !== 0;
  if (!max && pads !== null && !counted)
    throw w.fail(node, 'an average that leaves its padding out is only with padding `same`');
  const order = channelsLast(size.length + 2);
  const x = padded(w, node, w.ordered(w.get(node.input[0] ?? ''), order, node.name), {
    pads,
    value: max ? -3.4e38 : 0,
  });
  const ref = w.target.pool(node.name, x.ref, { kind: max ? 'max' : 'average', size, strides, padding });
  const shape = [
    x.shape[0] ?? null,
    x.shape[1] ?? null,
    ...behindWindow(x.shape.slice(2), { size, strides, dilations: ones(size), padding }),
  ];
  w.set(node.output[0] ?? '', { ref, order, shape });
};

const normalization: NodeWriter = (w, node) => {
  const [scale, shift, mean, variance] = [1, 2, 3, 4].map((i) => w.constant(node.input[i]));
  if (scale == null || shift == null || mean == null || variance == null)
    throw w.fail(node, 'its statistics are computed');
  const given = w.get(node.input[0] ?? '');
  const order = given.shape.length > 2 ? channelsLast(given.shape.length) : null;
  const x = order === null ? w.plain(given, node.name) : w.ordered(given, order, node.name);
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  const ref = w.target.normalization(node.name, x.ref, { scale, shift, mean, variance, epsilon });
  w.set(node.output[0] ?? '', { ...x, ref });
};

/** A fully connected layer on rows. */
const gemm: NodeWriter = (w, node) => {
  const weights = w.constant(node.input[1]);
  if (weights === null || intAttribute(node, 'transA', 0) !== 0)
    throw w.fail(node, 'a product of two computed matrices is not');
  const alpha = floatAttribute(node, 'alpha', 1);
  const beta = floatAttribute(node, 'beta', 1);
  const kernel = scaled(w, intAttribute(node, 'transB', 0) === 0 ? weights : w.reordered(weights, [1, 0]), alpha);
  const given = w.constant(node.input[2]);
  const units = kernel.dims[1] ?? 0;
  const bias =
    given === null
      ? null
      : scaled(
          w,
          {
            ...given,
            dims: [units],
            data: given.data.length === units ? given.data : new Float32Array(units).fill(given.data[0] ?? 0),
          },
          beta,
        );
  if (given === null && (node.input[2] ?? '') !== '') throw w.fail(node, 'its bias is computed');
  const x = w.plain(w.get(node.input[0] ?? ''), node.name);
  const { activation, output } = w.activationBehind(node.output[0] ?? '');
  const ref = w.target.dense(node.name, x.ref, { kernel, bias, rank: 2, activation });
  w.set(output, { ref, order: null, shape: [x.shape[0] ?? null, units] });
};

const scaled = (w: Walker, weights: Weights, by: number): Weights =>
  by === 1
    ? weights
    : w.made(weights, `times ${String(by)}`, () => ({
        ...weights,
        data: Float32Array.from(weights.data, (v) => v * by),
        coding: null,
      }));

/** The bias that alone reads this product, where it is one for every column: it stands in the layer then. */
function biasBehind(w: Walker, product: string, units: number): { bias: Weights | null; output: string } {
  const next = w.index.soleConsumer(product);
  const output = next?.output[0];
  if (next === null || output === undefined || !isOperator(next, 'Add')) return { bias: null, output: product };
  const bias = w.constant(next.input.find((name) => name !== product));
  if (bias?.type !== 'float32' || bias.data.length !== units || bias.dims.at(-1) !== units)
    return { bias: null, output: product };
  w.fused.add(next);
  return { bias: { ...bias, dims: [units] }, output };
}

const matmul: NodeWriter = (w, node) => {
  const x = w.plain(w.get(node.input[0] ?? ''), node.name);
  const weights = w.constant(node.input[1]);
  const [output = ''] = node.output;
  if (weights?.dims.length === 2) {
    const units = weights.dims[1] ?? 0;
    const { bias, output: biased } = biasBehind(w, output, units);
    const { activation, output: last } = w.activationBehind(biased);
    const ref = w.target.dense(node.name, x.ref, { kernel: weights, bias, rank: x.shape.length, activation });
    w.set(last, { ref, order: null, shape: [...x.shape.slice(0, -1), units] });
    return;
  }
  const y = w.plain(w.get(node.input[1] ?? ''), node.name);
  const longer = x.shape.length >= y.shape.length ? x : y;
  const shape = [...longer.shape.slice(0, -2), x.shape.at(-2) ?? null, y.shape.at(-1) ?? null];
  w.set(output, { ref: w.target.product(node.name, x.ref, y.ref), order: null, shape });
};

export const CONVOLUTION_WRITERS: Readonly<Record<string, NodeWriter>> = {
  Conv: convolution,
  ConvTranspose: transposed,
  MaxPool: pool,
  AveragePool: pool,
  BatchNormalization: normalization,
  Gemm: gemm,
  MatMul: matmul,
};
