import { makeFloat, makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { floatTensor, int64Tensor } from '../../src/models/ir/tensors.js';
import { node, noise, tensorOf, type Sketch } from './graphs.js';

const text = (name: string, s: string) => ({ name, type: 3, s: Buffer.from(s) });
const pads = (...values: number[]) => makeInts('pads', values);
const positive = (name: string, length: number) =>
  floatTensor(
    name,
    [length],
    noise(length, 9).map((v) => 1 + 0.5 * v),
  );

const normalization = (prefix: string, channels: number) => [
  positive(`${prefix}.gamma`, channels),
  tensorOf(`${prefix}.beta`, [channels]),
  tensorOf(`${prefix}.mean`, [channels]),
  positive(`${prefix}.var`, channels),
];
const normalize = (prefix: string, input: string, output: string) =>
  node('BatchNormalization', [input, `${prefix}.gamma`, `${prefix}.beta`, `${prefix}.mean`, `${prefix}.var`], output, [
    makeFloat('epsilon', 1e-3),
  ]);

/** One small network per way that layers can be wired; every one computes `y` from `x`. */
export const TOPOLOGIES: Record<string, Sketch> = {
  'convolution and ReLU': {
    input: [3, 8, 8],
    tensors: [tensorOf('w', [8, 3, 3, 3]), tensorOf('b', [8])],
    nodes: [node('Conv', ['x', 'w', 'b'], 'c', [pads(1, 1, 1, 1)], 'conv'), node('Relu', ['c'], 'y')],
  },
  'strided, dilated, asymmetric padding': {
    input: [4, 11, 9],
    tensors: [tensorOf('w', [6, 4, 3, 2])],
    nodes: [
      node(
        'Conv',
        ['x', 'w'],
        'y',
        [makeInts('strides', [2, 3]), makeInts('dilations', [2, 1]), pads(2, 0, 1, 3)],
        'conv',
      ),
    ],
  },
  'auto_pad SAME_UPPER': {
    input: [4, 10, 7],
    tensors: [tensorOf('w', [6, 4, 3, 4]), tensorOf('b', [6])],
    nodes: [node('Conv', ['x', 'w', 'b'], 'y', [text('auto_pad', 'SAME_UPPER'), makeInts('strides', [3, 2])], 'conv')],
  },
  'auto_pad SAME_LOWER': {
    input: [4, 10, 7],
    tensors: [tensorOf('w', [6, 4, 4, 2])],
    nodes: [node('Conv', ['x', 'w'], 'y', [text('auto_pad', 'SAME_LOWER')], 'conv')],
  },
  'auto_pad VALID': {
    input: [4, 10, 7],
    tensors: [tensorOf('w', [6, 4, 3, 3])],
    nodes: [node('Conv', ['x', 'w'], 'y', [text('auto_pad', 'VALID')], 'conv')],
  },
  'one-dimensional convolution': {
    input: [5, 20],
    tensors: [tensorOf('w', [7, 5, 4]), tensorOf('b', [7])],
    nodes: [
      node('Conv', ['x', 'w', 'b'], 'c', [makeInts('strides', [2]), pads(3, 1), makeInts('dilations', [2])], 'conv'),
      node('Tanh', ['c'], 'y'),
    ],
  },
  'three axes, strided, dilated, asymmetric padding': {
    input: [3, 7, 6, 8],
    tensors: [tensorOf('w', [5, 3, 3, 2, 3]), tensorOf('b', [5])],
    nodes: [
      node(
        'Conv',
        ['x', 'w', 'b'],
        'c',
        [makeInts('strides', [2, 1, 3]), makeInts('dilations', [1, 2, 1]), pads(1, 0, 2, 0, 1, 1)],
        'conv',
      ),
      node('Relu', ['c'], 'y'),
    ],
  },
  'residual addition': {
    input: [8, 6, 6],
    tensors: [tensorOf('w1', [8, 8, 3, 3]), tensorOf('w2', [8, 8, 3, 3], 7), tensorOf('b1', [8])],
    nodes: [
      node('Conv', ['x', 'w1', 'b1'], 'c1', [pads(1, 1, 1, 1)], 'first'),
      node('Relu', ['c1'], 'r1'),
      node('Conv', ['r1', 'w2'], 'c2', [pads(1, 1, 1, 1)], 'second'),
      node('Add', ['c2', 'x'], 's'),
      node('Relu', ['s'], 'y'),
    ],
  },
  'shared input and concatenation': {
    input: [6, 6, 6],
    tensors: [tensorOf('w1', [4, 6, 1, 1]), tensorOf('w2', [4, 6, 3, 3], 3), tensorOf('b2', [4])],
    nodes: [
      node('Conv', ['x', 'w1'], 'a', [], 'left'),
      node('Relu', ['a'], 'ra'),
      node('Conv', ['x', 'w2', 'b2'], 'b', [pads(1, 1, 1, 1)], 'right'),
      node('Relu', ['b'], 'rb'),
      node('Concat', ['ra', 'rb'], 'y', [makeInt('axis', 1)]),
    ],
  },
  'batch normalization after convolution and Gemm': {
    input: [3, 5, 5],
    tensors: [
      tensorOf('w1', [6, 3, 3, 3]),
      ...normalization('n1', 6),
      tensorOf('w2', [54, 8]),
      tensorOf('b2', [8]),
      ...normalization('n2', 8),
    ],
    nodes: [
      node('Conv', ['x', 'w1'], 'c', [], 'conv'),
      normalize('n1', 'c', 'n'),
      node('Relu', ['n'], 'r'),
      node('Flatten', ['r'], 'f'),
      node('Gemm', ['f', 'w2', 'b2'], 'g', [makeFloat('alpha', 0.5), makeFloat('beta', 2)], 'fc'),
      normalize('n2', 'g', 'y'),
    ],
  },
  'bias and scale in nodes of their own': {
    input: [3, 7, 7],
    tensors: [
      tensorOf('w1', [6, 3, 3, 3]),
      tensorOf('row', [6]),
      int64Tensor('shape', [4], [1, -1, 1, 1]),
      floatTensor('scale', [1], Float32Array.of(1.7)),
      floatTensor('shift', [], Float32Array.of(0.4)),
      tensorOf('w2', [5, 6, 3, 3]),
      tensorOf('b2', [5]),
      positive('divisor', 5),
      tensorOf('minuend', [5, 1, 1]),
      tensorOf('w3', [45, 4]),
      tensorOf('b3', [4]),
      tensorOf('factor', [1, 4]),
    ],
    nodes: [
      node('Conv', ['x', 'w1'], 'c1', [], 'conv1'),
      // As PaddlePaddle's exporter writes a bias.
      node('Reshape', ['row', 'shape'], 'bias'),
      node('Add', ['bias', 'c1'], 'a1'),
      node('Mul', ['a1', 'scale'], 'm1'),
      node('Add', ['m1', 'shift'], 's1'),
      node('Relu', ['s1'], 'r1'),
      node('Conv', ['r1', 'w2', 'b2'], 'c2', [], 'conv2'),
      node('Reshape', ['divisor', 'shape'], 'divisors'),
      node('Div', ['c2', 'divisors'], 'd2'),
      node('Sub', ['minuend', 'd2'], 's2'),
      node('Relu', ['s2'], 'r2'),
      node('Flatten', ['r2'], 'f'),
      node('Gemm', ['f', 'w3', 'b3'], 'g', [makeFloat('alpha', 0.5), makeFloat('beta', 2)], 'fc'),
      node('Mul', ['factor', 'g'], 'y'),
    ],
  },
  'Gemm with transB, alpha, beta and a scalar bias': {
    input: [12],
    tensors: [tensorOf('w', [7, 12]), floatTensor('b', [1], Float32Array.of(0.75))],
    nodes: [
      node(
        'Gemm',
        ['x', 'w', 'b'],
        'y',
        [makeInt('transB', 1), makeFloat('alpha', 1.5), makeFloat('beta', 0.25)],
        'fc',
      ),
    ],
  },
  'Gemm without bias': {
    input: [12],
    tensors: [tensorOf('w', [12, 7])],
    nodes: [node('Gemm', ['x', 'w'], 'y', [], 'fc')],
  },
  'MatMul and Add on three dimensions': {
    input: [5, 12],
    tensors: [tensorOf('w', [12, 7]), tensorOf('b', [7])],
    nodes: [node('MatMul', ['x', 'w'], 'p', [], 'fc'), node('Add', ['b', 'p'], 'a'), node('Sigmoid', ['a'], 'y')],
  },
  'MatMul alone, weights behind Transpose and Identity': {
    input: [12],
    tensors: [tensorOf('w', [7, 12])],
    nodes: [
      node('Identity', ['w'], 'wi'),
      node('Transpose', ['wi'], 'wt', [makeInts('perm', [1, 0])]),
      node('MatMul', ['x', 'wt'], 'y', [], 'fc'),
    ],
  },
  'opset 7, Dropout, max-pool before ReLU': {
    input: [3, 8, 8],
    opset: 7,
    tensors: [tensorOf('w1', [8, 3, 3, 3]), tensorOf('b1', [8]), tensorOf('w2', [10, 72]), tensorOf('b2', [10])],
    nodes: [
      node('Conv', ['x', 'w1', 'b1'], 'c', [], 'conv'),
      node('MaxPool', ['c'], 'p', [makeInts('kernel_shape', [2, 2]), makeInts('strides', [2, 2])]),
      node('Relu', ['p'], 'r'),
      node('Dropout', ['r'], 'd'),
      node('Flatten', ['d'], 'f'),
      node('Gemm', ['f', 'w2', 'b2'], 'y', [makeInt('transB', 1)], 'fc'),
    ],
  },
  'constant nodes as weights': {
    input: [4, 6, 6],
    tensors: [],
    nodes: [
      node('Constant', [], 'w', [{ name: 'value', type: 4, t: tensorOf('', [6, 4, 3, 3], 4) }]),
      node('Constant', [], 'b', [{ name: 'value_floats', type: 6, floats: [0.1, -0.2, 0.3, 0, 0.5, -1] }]),
      node('Conv', ['x', 'w', 'b'], 'y', [], 'conv'),
    ],
  },
  'reshape in between': {
    input: [4, 6, 6],
    tensors: [tensorOf('w', [6, 4, 3, 3]), int64Tensor('shape', [2], [-1, 96])],
    nodes: [
      node('Conv', ['x', 'w'], 'c', [], 'conv'),
      node('Reshape', ['c', 'shape'], 'f'),
      node('LeakyRelu', ['f'], 'y', [makeFloat('alpha', 0.1)]),
    ],
  },
};
