import { noise } from '../graphs.js';
import type { Choice } from './layer-forms.js';
import { attr, type GraphSketch } from './graphs.js';

export interface OperatorForm {
  shape: (c: Choice) => number[];
  /** Adds nodes behind `x`; returns the outputs. */
  build: (g: GraphSketch, c: Choice, shape: number[]) => string | string[];
}

const picture = (c: Choice): number[] => [c.int(5, 9), c.int(5, 9), c.int(1, 4)];
const row = (c: Choice): number[] => [c.int(2, 8)];
const T = attr.type('DT_FLOAT');
const NHWC = attr.s('NHWC');

function weights(g: GraphSketch, shape: number[], seed = 3): string {
  return g.constant({
    shape,
    dtype: 'float32',
    values: noise(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ).map((v) => v * 0.6),
  });
}

const window = (c: Choice, padding = c.of('SAME', 'VALID')) => {
  const stride = c.of([1, 1], [2, 2], [1, 1]);
  const dilation = stride[0] === 1 ? c.of(1, 2) : 1;
  return {
    data_format: NHWC,
    padding: attr.s(padding),
    strides: attr.ints(1, ...stride, 1),
    dilations: attr.ints(1, dilation, dilation, 1),
    T,
  };
};

const unary = (op: string, attributes = {}): OperatorForm => ({
  shape: picture,
  build: (g) => g.node('y', op, ['x'], { T, ...attributes }),
});
/** On what is surely positive. */
const onPositive = (op: string): OperatorForm => ({
  shape: picture,
  build: (g) =>
    g.node(
      'y',
      op,
      [
        g.node(
          'p',
          'AddV2',
          [g.node('q', 'Square', ['x'], { T }), g.constant({ shape: [], dtype: 'float32', values: [0.3] })],
          { T },
        ),
      ],
      { T },
    ),
});
const binary = (op: string): OperatorForm => ({
  shape: picture,
  build: (g, c, [, , channels = 1]) => {
    const conv = g.node('conv', 'Conv2D', ['x', weights(g, [1, 1, channels, 3])], {
      ...window(c, 'SAME'),
      strides: attr.ints(1, 1, 1, 1),
    });
    const other = c.of(weights(g, [3], 5), weights(g, [], 5), g.node('relu', 'Relu', [conv], { T }));
    return g.node('y', op, c.of(true, false) ? [conv, other] : [other, conv], { T });
  },
});
const reduction = (op: string): OperatorForm => ({
  shape: picture,
  build: (g, c, [, , channels = 1]) => {
    const conv = g.node('conv', 'Conv2D', ['x', weights(g, [2, 2, channels, 3])], {
      ...window(c),
      strides: attr.ints(1, 1, 1, 1),
    });
    return g.node('y', op, [conv, g.ints(...c.of([1, 2], [3], [-1], [1], [2, 3]))], {
      keep_dims: attr.flag(c.of(true, false)),
      T,
    });
  },
});
const fused = (op: string, activation: string, extra = {}): OperatorForm => ({
  shape: picture,
  build: (g, c, [, , channels = 1]) => {
    const outputs = op === '_FusedConv2D' ? 3 : channels;
    const kernel =
      op === '_FusedConv2D' ? [c.int(1, 3), c.int(1, 3), channels, 3] : [c.int(1, 3), c.int(1, 3), channels, 1];
    const slope = activation === 'Prelu' ? [weights(g, [outputs], 8)] : [];
    const operators = ['BiasAdd', ...(activation === '' ? [] : [activation])];
    return g.node('y', op, ['x', weights(g, kernel), weights(g, [outputs], 4), ...slope], {
      ...window(c),
      fused_ops: attr.texts(...operators),
      num_args: attr.int(1 + slope.length),
      ...extra,
    });
  },
});

export const OPERATOR_FORMS: Record<string, OperatorForm> = {
  Conv2D: {
    shape: picture,
    build: (g, c, [, , channels = 1]) =>
      g.node('y', 'Conv2D', ['x', weights(g, [c.int(1, 3), c.int(1, 3), channels, c.int(1, 5)])], window(c)),
  },
  'Conv2D with explicit padding': {
    shape: picture,
    build: (g, c, [, , channels = 1]) =>
      g.node('y', 'Conv2D', ['x', weights(g, [3, 3, channels, 2])], {
        ...window(c, 'EXPLICIT'),
        explicit_paddings: attr.ints(0, 0, c.int(0, 2), c.int(0, 2), 1, c.int(0, 2), 0, 0),
      }),
  },
  'Conv2D and BiasAdd': {
    shape: picture,
    build: (g, c, [, , channels = 1]) =>
      g.node(
        'y',
        'BiasAdd',
        [g.node('c', 'Conv2D', ['x', weights(g, [2, 2, channels, 3])], window(c)), weights(g, [3])],
        { T, data_format: NHWC },
      ),
  },
  DepthwiseConv2dNative: {
    shape: picture,
    build: (g, c, [, , channels = 1]) =>
      g.node(
        'y',
        'DepthwiseConv2dNative',
        ['x', weights(g, [c.int(1, 3), c.int(1, 3), channels, c.int(1, 3)])],
        window(c),
      ),
  },
  Conv2DBackpropInput: {
    shape: () => [4, 5, 3],
    build: (g, c) => {
      const stride = c.int(1, 3);
      const same = c.of(true, false);
      const size = (n: number) => (same ? n * stride : (n - 1) * stride + Math.max(3, stride));
      return g.node('y', 'Conv2DBackpropInput', [g.ints(2, size(4), size(5), 2), weights(g, [3, 3, 2, 3]), 'x'], {
        ...window(c, same ? 'SAME' : 'VALID'),
        strides: attr.ints(1, stride, stride, 1),
        dilations: attr.ints(1, 1, 1, 1),
      });
    },
  },
  '_FusedConv2D with BiasAdd': fused('_FusedConv2D', ''),
  '_FusedConv2D with Relu': fused('_FusedConv2D', 'Relu'),
  '_FusedConv2D with Relu6': fused('_FusedConv2D', 'Relu6'),
  '_FusedConv2D with Elu': fused('_FusedConv2D', 'Elu'),
  '_FusedConv2D with Prelu': fused('_FusedConv2D', 'Prelu'),
  '_FusedConv2D with LeakyRelu': fused('_FusedConv2D', 'LeakyRelu', { leakyrelu_alpha: attr.float(0.3) }),
  'FusedDepthwiseConv2dNative with Relu6': fused('FusedDepthwiseConv2dNative', 'Relu6'),
  'FusedDepthwiseConv2dNative with BiasAdd': fused('FusedDepthwiseConv2dNative', ''),
  MatMul: {
    shape: row,
    build: (g, c, [width = 1]) => {
      const turned = c.of(true, false);
      return g.node('y', 'MatMul', ['x', weights(g, turned ? [4, width] : [width, 4])], {
        transpose_a: attr.flag(false),
        transpose_b: attr.flag(turned),
        T,
      });
    },
  },
  _FusedMatMul: {
    shape: row,
    build: (g, c, [width = 1]) =>
      g.node('y', '_FusedMatMul', ['x', weights(g, [width, 4]), weights(g, [4])], {
        ...{ transpose_a: attr.flag(false), transpose_b: attr.flag(false), num_args: attr.int(1), T },
        fused_ops: attr.texts('BiasAdd', ...c.of(['Relu'], [], ['Relu6'])),
      }),
  },
  BatchMatMulV2: {
    shape: (c) => [3, c.int(2, 5)],
    build: (g, c, [, width = 1]) =>
      g.node('y', 'BatchMatMulV2', ['x', c.of('x', weights(g, [2, 4, width]))], {
        adj_x: attr.flag(false),
        adj_y: attr.flag(true),
        T,
      }),
  },
  FusedBatchNormV3: {
    shape: picture,
    build: (g, _, [, , channels = 1]) => {
      const variance = g.constant({
        shape: [channels],
        dtype: 'float32',
        values: noise(channels, 6).map((v) => Math.abs(v) + 0.3),
      });
      return g.node(
        'y',
        'FusedBatchNormV3',
        ['x', weights(g, [channels], 1), weights(g, [channels], 2), weights(g, [channels], 3), variance],
        { epsilon: attr.float(0.01), is_training: attr.flag(false), data_format: NHWC, T },
      );
    },
  },
  MaxPool: {
    shape: picture,
    build: (g, c) => g.node('y', 'MaxPool', ['x'], { ...window(c), ksize: attr.ints(1, c.int(1, 3), c.int(1, 3), 1) }),
  },
  AvgPool: {
    shape: picture,
    build: (g, c) => g.node('y', 'AvgPool', ['x'], { ...window(c), ksize: attr.ints(1, c.int(1, 3), c.int(1, 3), 1) }),
  },
  ...Object.fromEntries(
    [
      'Relu',
      'Relu6',
      'Elu',
      'Selu',
      'Softplus',
      'Sigmoid',
      'Tanh',
      'Exp',
      'Neg',
      'Abs',
      'Floor',
      'Ceil',
      'Round',
      'Sign',
      'Erf',
      'Square',
      'Softmax',
      'LogSoftmax',
      'Sin',
      'Cos',
      'Expm1',
      'Identity',
    ].map((op): [string, OperatorForm] => [op, unary(op)]),
  ),
  ...Object.fromEntries(
    ['Sqrt', 'Rsqrt', 'Log', 'Reciprocal', 'Log1p'].map((op): [string, OperatorForm] => [op, onPositive(op)]),
  ),
  LeakyRelu: unary('LeakyRelu', { alpha: attr.float(0.15) }),
  Prelu: {
    shape: picture,
    build: (g, _, [, , channels = 1]) => g.node('y', 'Prelu', ['x', weights(g, [channels])], { T }),
  },
  ClipByValue: {
    shape: picture,
    build: (g) =>
      g.node(
        'y',
        'ClipByValue',
        [
          'x',
          g.constant({ shape: [], dtype: 'float32', values: [-0.2] }),
          g.constant({ shape: [], dtype: 'float32', values: [0.4] }),
        ],
        { T },
      ),
  },
  ...Object.fromEntries(
    ['Add', 'AddV2', 'Sub', 'Mul', 'RealDiv', 'Maximum', 'Minimum', 'SquaredDifference'].map(
      (op): [string, OperatorForm] => [op, binary(op)],
    ),
  ),
  AddN: { shape: picture, build: (g) => g.node('y', 'AddN', ['x', g.node('r', 'Relu', ['x'], { T }), 'x'], { T }) },
  SelectV2: {
    shape: picture,
    build: (g) =>
      g.node(
        'y',
        'SelectV2',
        [g.node('w', 'Greater', ['x', weights(g, [])], { T }), 'x', g.node('n', 'Neg', ['x'], { T })],
        { T },
      ),
  },
  ...Object.fromEntries(['Mean', 'Sum', 'Max', 'Min', 'Prod'].map((op): [string, OperatorForm] => [op, reduction(op)])),
  Reshape: {
    shape: () => [4, 6, 2],
    build: (g, c) => g.node('y', 'Reshape', ['x', g.ints(...c.of([-1, 48], [2, 8, 6], [-1, 12, 2]))], { T }),
  },
  'Reshape to a computed shape': {
    shape: () => [4, 6, 2],
    build: (g) => {
      const batch = g.node('b', 'StridedSlice', [g.node('s', 'Shape', ['x'], { T }), g.ints(0), g.ints(1), g.ints(1)], {
        shrink_axis_mask: attr.int(1),
      });
      return g.node('y', 'Reshape', ['x', g.node('p', 'Pack', [batch, g.int(48)], { axis: attr.int(0) })], { T });
    },
  },
  Squeeze: {
    shape: (c) => [1, 1, c.int(1, 5)],
    build: (g, _, [, , channels = 1]) =>
      g.node(
        'y',
        'Squeeze',
        [
          g.node('c', 'Conv2D', ['x', weights(g, [1, 1, channels, 3])], {
            T,
            data_format: NHWC,
            padding: attr.s('SAME'),
            strides: attr.ints(1, 1, 1, 1),
            dilations: attr.ints(1, 1, 1, 1),
          }),
        ],
        { squeeze_dims: attr.ints(1, 2), T },
      ),
  },
  ExpandDims: { shape: row, build: (g, c) => g.node('y', 'ExpandDims', ['x', g.int(c.of(1, -1))], { T }) },
  Transpose: {
    shape: picture,
    build: (g, c) =>
      g.node(
        'y',
        'Transpose',
        [
          g.node('r', 'MaxPool', ['x'], { ...window(c, 'VALID'), ksize: attr.ints(1, 2, 2, 1) }),
          g.ints(...c.of([0, 3, 1, 2], [0, 2, 1, 3], [0, 1, 2, 3])),
        ],
        { T },
      ),
  },
  ConcatV2: {
    shape: picture,
    build: (g, c) =>
      g.node(
        'y',
        'ConcatV2',
        [
          g.node('r', 'MaxPool', ['x'], {
            data_format: NHWC,
            padding: attr.s('SAME'),
            strides: attr.ints(1, 1, 1, 1),
            ksize: attr.ints(1, 2, 2, 1),
          }),
          'x',
          g.int(c.of(3, -1, 1)),
        ],
        { T, N: attr.int(2) },
      ),
  },
  Split: {
    shape: () => [4, 4, 6],
    build: (g, c) => {
      g.node(
        's',
        'Split',
        [
          g.int(c.of(3, -1, 1)),
          g.node('r', 'MaxPool', ['x'], {
            data_format: NHWC,
            padding: attr.s('SAME'),
            strides: attr.ints(1, 1, 1, 1),
            ksize: attr.ints(1, 2, 2, 1),
          }),
        ],
        { num_split: attr.int(2), T },
      );
      return g.node('y', 'Sub', ['s', 's:1'], { T });
    },
  },
  SplitV: {
    shape: () => [4, 4, 6],
    build: (g) => {
      g.node('s', 'SplitV', ['x', g.ints(1, 5), g.int(3)], { num_split: attr.int(2), T });
      return g.node('y', 'Mul', ['s:1', 's'], { T });
    },
  },
  Pack: {
    shape: row,
    build: (g, c) =>
      g.node('y', 'Pack', ['x', g.node('r', 'Relu', ['x'], { T })], {
        axis: attr.int(c.of(1, -1, 2)),
        T,
        N: attr.int(2),
      }),
  },
  Unpack: {
    shape: () => [3, 4],
    build: (g) => {
      g.node('u', 'Unpack', ['x'], { axis: attr.int(1), num: attr.int(3), T });
      return g.node('y', 'Add', ['u:2', 'u'], { T });
    },
  },
  Slice: {
    shape: picture,
    build: (g, c) => g.node('y', 'Slice', ['x', g.ints(0, c.int(0, 2), 1, 0), g.ints(-1, 2, -1, -1)], { T }),
  },
  StridedSlice: {
    shape: picture,
    build: (g, c) =>
      g.node(
        'y',
        'StridedSlice',
        ['x', g.ints(0, c.int(0, 2), 1), g.ints(0, c.of(-1, 4), 5), g.ints(1, c.int(1, 2), c.int(1, 2))],
        { begin_mask: attr.int(c.of(1, 3)), end_mask: attr.int(c.of(1, 5)), T },
      ),
  },
  'StridedSlice that takes one': {
    shape: picture,
    build: (g, c) =>
      g.node(
        'y',
        'StridedSlice',
        [
          g.node('r', 'MaxPool', ['x'], { ...window(c, 'VALID'), ksize: attr.ints(1, 2, 2, 1) }),
          g.ints(0, 1),
          g.ints(0, 2),
          g.ints(1, 1),
        ],
        { begin_mask: attr.int(1), end_mask: attr.int(1), shrink_axis_mask: attr.int(2), T },
      ),
  },
  Pad: {
    shape: picture,
    build: (g, c) =>
      g.node(
        'y',
        'Pad',
        [
          'x',
          g.constant({ shape: [4, 2], dtype: 'int32', values: [0, 0, c.int(0, 2), 1, 1, c.int(0, 2), 0, c.int(0, 2)] }),
        ],
        { T },
      ),
  },
  PadV2: {
    shape: picture,
    build: (g) =>
      g.node(
        'y',
        'PadV2',
        [
          'x',
          g.constant({ shape: [4, 2], dtype: 'int32', values: [0, 0, 1, 1, 0, 1, 0, 0] }),
          g.constant({ shape: [], dtype: 'float32', values: [0.5] }),
        ],
        { T },
      ),
  },
  MirrorPad: {
    shape: picture,
    build: (g) =>
      g.node('y', 'MirrorPad', ['x', g.constant({ shape: [4, 2], dtype: 'int32', values: [0, 0, 1, 2, 2, 1, 0, 0] })], {
        mode: attr.s('REFLECT'),
        T,
      }),
  },
  Tile: { shape: row, build: (g) => g.node('y', 'Tile', ['x', g.ints(1, 3)], { T }) },
  GatherV2: {
    shape: picture,
    build: (g, c, [, , channels = 1]) =>
      g.node(
        'y',
        'GatherV2',
        [g.node('c', 'Conv2D', ['x', weights(g, [1, 1, channels, 4])], window(c)), g.ints(3, 0, 0), g.int(c.of(3, -1))],
        { batch_dims: attr.int(0), T },
      ),
  },
  ResizeBilinear: {
    shape: picture,
    build: (g, c) =>
      g.node('y', 'ResizeBilinear', ['x', g.ints(c.int(3, 12), c.int(3, 12))], {
        ...c.of({ align_corners: attr.flag(true) }, { half_pixel_centers: attr.flag(true) }, {}),
        T,
      }),
  },
  ResizeNearestNeighbor: {
    shape: picture,
    build: (g, c) =>
      g.node('y', 'ResizeNearestNeighbor', ['x', g.ints(c.int(3, 12), c.int(3, 12))], {
        ...c.of({ half_pixel_centers: attr.flag(true) }, {}),
        T,
      }),
  },
  DepthToSpace: {
    shape: (c) => [3, 4, 4 * c.int(1, 3)],
    build: (g) => g.node('y', 'DepthToSpace', ['x'], { block_size: attr.int(2), data_format: NHWC, T }),
  },
  ZerosLike: unary('ZerosLike'),
  'several outputs': {
    shape: picture,
    build: (g, c) => [
      g.node('y', 'MaxPool', ['x'], { ...window(c), ksize: attr.ints(1, 2, 2, 1) }),
      g.node('z', 'Mean', ['y', g.ints(1, 2)], { keep_dims: attr.flag(false), T }),
    ],
  },
};
