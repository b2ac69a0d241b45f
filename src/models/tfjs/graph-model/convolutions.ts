import { addBias, convolution, depthwise, pool, transposed, type Pool, type Window } from '../build/convolution.js';
import { batchNormalization, product } from '../build/dense.js';
import { activation, leakyRelu, prelu } from '../build/elementwise.js';
import { localResponse } from '../build/recurrent.js';
import type { Value } from '../build/value.js';
import type { StoredTensor } from '../io/weights.js';
import type { NodeContext, OperatorReader } from './node.js';

const channelsOf = (node: NodeContext) => (node.channelsFirst ? 'first' : 'last');

/** Of a list with the batch and the channels, what is of the spatial axes. */
function spatial(node: NodeContext, name: string, axes: number): number[] {
  const all = node.numbers(name);
  const ones = Array.from({ length: axes }, () => 1);
  if (all.length === axes) return all;
  return all.length === axes + 2 ? (node.channelsFirst ? all.slice(2) : all.slice(1, -1)) : ones;
}

export function windowOf(node: NodeContext, axes: number): Window {
  const padding = node.text('padding', 'VALID').toLowerCase();
  const strides = spatial(node, 'strides', axes);
  const dilations = spatial(node, 'dilations', axes);
  if (padding === 'same' || padding === 'valid') return { strides, dilations, padding };
  if (padding !== 'explicit') throw node.b.fail(`the padding ${padding} is not read`);
  const all = node.numbers('explicit_paddings');
  const from = node.channelsFirst ? 4 : 2;
  const pads = Array.from({ length: axes }, (_, i): [number, number] => [
    all[from + 2 * i] ?? 0,
    all[from + 2 * i + 1] ?? 0,
  ]);
  return { strides, dilations, padding: pads };
}

/** What the fused operators add: a bias, then an activation with its slopes. */
function fused(node: NodeContext, make: (bias: StoredTensor | null) => Value): Value {
  const { b } = node;
  const operators = node.texts('fused_ops');
  const hasBias = operators[0] === 'BiasAdd';
  const [name] = operators.filter((operator) => operator !== 'BiasAdd');
  const x = make(hasBias ? node.constant(2, 'the bias') : null);
  if (name === undefined) return x;
  if (name === 'Prelu') return prelu(b, x, node.constant(hasBias ? 3 : 2, 'the slope'));
  if (name === 'LeakyRelu') return leakyRelu(b, x, node.number('leakyrelu_alpha', 0.2));
  const made = activation(b, x, name.toLowerCase());
  if (made === null) throw b.fail(`the fused operator ${name} is not read: convert the model without fusing`);
  return made;
}

const convolutionReader =
  (axes: number): OperatorReader =>
  (node) =>
    fused(node, (bias) =>
      convolution(node.b, node.input(0), {
        ...{ kernel: node.input(1), bias, window: windowOf(node, axes), channels: channelsOf(node) },
      }),
    );

const depthwiseReader: OperatorReader = (node) =>
  fused(node, (bias) =>
    depthwise(node.b, node.input(0), {
      ...{ kernel: node.input(1), bias, window: windowOf(node, 2), channels: channelsOf(node) },
    }),
  );

/** Its first input is the shape that comes out; the strides say it, too. */
const transposedReader: OperatorReader = (node) =>
  transposed(node.b, node.input(2), {
    ...{ kernel: node.input(1), bias: null, window: windowOf(node, 2), channels: channelsOf(node) },
  });

const poolReader =
  (kind: Pool['kind'], axes = 2): OperatorReader =>
  (node) => {
    const window = { ...windowOf(node, axes), dilations: Array.from({ length: axes }, () => 1) };
    return pool(node.b, node.input(0), {
      kind,
      size: spatial(node, 'ksize', axes),
      window,
      channels: channelsOf(node),
    });
  };

const normalizationReader: OperatorReader = (node) => {
  const of = (i: number, what: string) => node.constant(i, what);
  return batchNormalization(node.b, node.input(0), {
    ...{
      scale: of(1, 'the scale'),
      shift: of(2, 'the offset'),
      mean: of(3, 'the mean'),
      variance: of(4, 'the variance'),
    },
    ...{ epsilon: node.number('epsilon', 1e-4), axis: node.channelsFirst ? 1 : -1 },
  });
};

const productReader: OperatorReader = (node) =>
  fused(node, (bias) =>
    product(node.b, node.input(0), node.input(1), {
      transposeA: node.flag('transpose_a') || node.flag('adj_x'),
      transposeB: node.flag('transpose_b') || node.flag('adj_y'),
      bias,
    }),
  );

export const CONVOLUTIONS: Readonly<Record<string, OperatorReader>> = {
  Conv1D: convolutionReader(1),
  Conv2D: convolutionReader(2),
  Conv3D: convolutionReader(3),
  _FusedConv2D: convolutionReader(2),
  DepthwiseConv2dNative: depthwiseReader,
  DepthwiseConv2d: depthwiseReader,
  FusedDepthwiseConv2dNative: depthwiseReader,
  Conv2DBackpropInput: transposedReader,
  MaxPool: poolReader('MaxPool'),
  AvgPool: poolReader('AveragePool'),
  MaxPool3D: poolReader('MaxPool', 3),
  AvgPool3D: poolReader('AveragePool', 3),
  FusedBatchNorm: normalizationReader,
  FusedBatchNormV2: normalizationReader,
  FusedBatchNormV3: normalizationReader,
  MatMul: productReader,
  _FusedMatMul: productReader,
  BatchMatMul: productReader,
  BatchMatMulV2: productReader,
  BatchMatMulV3: productReader,
  BiasAdd: (node) => addBias(node.b, node.input(0), node.input(1), channelsOf(node)),
  BiasAddV1: (node) => addBias(node.b, node.input(0), node.input(1)),
  LRN: (node) =>
    localResponse(node.b, node.input(0), {
      ...{ radius: node.number('depth_radius', 5), bias: node.number('bias', 1) },
      ...{ alpha: node.number('alpha', 1), beta: node.number('beta', 0.5), order: [0, 3, 1, 2] },
    }),
};
