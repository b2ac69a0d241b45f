import { makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import type { TensorProto } from '../../src/models/ir/messages.js';
import { node, noise, tensorOf, type Sketch } from './graphs.js';

/** Weights of rank 3 (so that little is lost), as large as they need be for feature maps to keep their size. */
function planted(name: string, dims: number[], seed: number): TensorProto {
  const [m = 1, ...rest] = dims;
  const d = rest.reduce((a, b) => a * b, 1);
  const [p, q] = [noise(m * 3, seed), noise(3 * d, seed + 1)];
  const w = new Float32Array(m * d);
  for (let i = 0; i < m; i++)
    for (let k = 0; k < 3; k++)
      for (let j = 0; j < d; j++) w[i * d + j] = w[i * d + j] + (p[i * 3 + k] * q[k * d + j] * 3) / Math.sqrt(d);
  return floatTensor(name, dims, w);
}

const same = [makeInts('pads', [1, 1, 1, 1])];
const half = [makeInts('kernel_shape', [2, 2]), makeInts('strides', [2, 2])];

/** A detection head over two feature maps: the same convolution on 8 x 8 and on 4 x 4 places. */
export const HEADS: Sketch = {
  input: [3, 8, 8],
  tensors: [
    planted('stem', [16, 3, 3, 3], 3),
    tensorOf('b', [16]),
    planted('head', [24, 16, 3, 3], 7),
    tensorOf('hb', [24]),
    tensorOf('last', [24, 4]),
    tensorOf('zero', [4]),
  ],
  nodes: [
    node('Conv', ['x', 'stem', 'b'], 'c', same, 'stem'),
    node('Relu', ['c'], 'large'),
    node('MaxPool', ['large'], 'small', half),
    node('Conv', ['large', 'head', 'hb'], 'p', same, 'head_large'),
    node('Relu', ['p'], 'pa'),
    node('Conv', ['small', 'head', 'hb'], 'q', same, 'head_small'),
    node('Relu', ['q'], 'qa'),
    node('GlobalAveragePool', ['pa'], 'pg'),
    node('GlobalMaxPool', ['qa'], 'qg'),
    node('Add', ['pg', 'qg'], 's'),
    node('Flatten', ['s'], 'f'),
    node('Gemm', ['f', 'last', 'zero'], 'y', [], 'last'),
  ],
};

/** A recurrence of three steps, unrolled: h = tanh(x W + h U), as products with an added row. */
export const UNROLLED: Sketch = {
  input: [40],
  tensors: [planted('w', [40, 32], 5), planted('u', [32, 32], 9), tensorOf('b', [32]), tensorOf('o', [32, 6])],
  nodes: [
    node('MatMul', ['x', 'w'], 'xw', [], 'input'),
    node('Tanh', ['xw'], 'h0'),
    ...[1, 2, 3].flatMap((step) => [
      node('MatMul', [`h${String(step - 1)}`, 'u'], `r${String(step)}`, [], `step${String(step)}`),
      node('Add', [`r${String(step)}`, 'b'], `t${String(step)}`),
      node('Add', [`t${String(step)}`, 'xw'], `s${String(step)}`),
      node('Tanh', [`s${String(step)}`], `h${String(step)}`),
    ]),
    node('MatMul', ['h3', 'o'], 'y', [], 'last'),
  ],
};

/** The same steps as fully connected layers, weights stored by outputs. */
export const UNROLLED_GEMM: Sketch = {
  input: [32],
  tensors: [planted('u', [32, 32], 9), tensorOf('b', [32]), tensorOf('o', [32, 6]), tensorOf('ob', [6])],
  nodes: [
    ...[1, 2, 3].flatMap((step) => [
      node(
        'Gemm',
        [step === 1 ? 'x' : `h${String(step - 1)}`, 'u', 'b'],
        `r${String(step)}`,
        [makeInt('transB', 1)],
        `step${String(step)}`,
      ),
      node('Relu', [`r${String(step)}`], `h${String(step)}`),
    ]),
    node('Gemm', ['h3', 'o', 'ob'], 'y', [], 'last'),
  ],
};
