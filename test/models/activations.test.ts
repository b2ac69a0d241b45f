import { describe, expect, it } from 'vitest';
import { listLayers, prepare, type Activation } from '../../src/models/index.js';
import { makeFloat, makeInts } from '../../src/models/ir/attributes.js';
import type { NodeProto, TensorProto } from '../../src/models/ir/messages.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import { batchOf, build, node, tensorOf } from './graphs.js';

const scalar = (name: string, value: number) => floatTensor(name, [], Float32Array.of(value));

/** What is found behind a convolution `c` when these nodes follow; they end in `y`. */
async function behind(nodes: NodeProto[], tensors: TensorProto[] = [], opset = 20): Promise<Activation | undefined> {
  const sketch = {
    input: [3, 6, 6],
    opset,
    tensors: [tensorOf('w', [4, 3, 3, 3]), ...tensors],
    nodes: [node('Conv', ['x', 'w'], 'c'), ...nodes],
  };
  return (await listLayers(prepare(await build(sketch)), batchOf(sketch.input, 2), { threads: 1 })).layers[0]
    ?.activation;
}

const pool = (input: string, output: string) => node('MaxPool', [input], output, [makeInts('kernel_shape', [2, 2])]);
const text = (name: string, s: string) => ({ name, type: 3, s: Buffer.from(s) });

const FOUND: [string, NodeProto[], TensorProto[], Activation, number?][] = [
  ['Relu', [node('Relu', ['c'], 'y')], [], { kind: 'relu' }],
  [
    'Clip by inputs',
    [node('Clip', ['c', 'lo', 'hi'], 'y')],
    [scalar('lo', 0), scalar('hi', 6)],
    { kind: 'clip', min: 0, max: 6 },
  ],
  [
    'Clip by attributes',
    [node('Clip', ['c'], 'y', [makeFloat('min', -1), makeFloat('max', 2)])],
    [],
    { kind: 'clip', min: -1, max: 2 },
    9,
  ],
  ['Clip with a minimum of 0 only', [node('Clip', ['c', 'lo'], 'y')], [scalar('lo', 0)], { kind: 'relu' }],
  ['LeakyRelu', [node('LeakyRelu', ['c'], 'y', [makeFloat('alpha', 0.25)])], [], { kind: 'leaky_relu', alpha: 0.25 }],
  [
    'Max of x and its quarter',
    [node('Mul', ['c', 'quarter'], 'q'), node('Max', ['q', 'c'], 'y')],
    [scalar('quarter', 0.25)],
    { kind: 'leaky_relu', alpha: 0.25 },
  ],
  [
    'Relu(x) - Relu(-x) / 4',
    [
      node('Relu', ['c'], 'p'),
      node('Neg', ['c'], 'n'),
      node('Relu', ['n'], 'm'),
      node('Mul', ['m', 'quarter'], 'q'),
      node('Sub', ['p', 'q'], 'y'),
    ],
    [scalar('quarter', 0.25)],
    { kind: 'leaky_relu', alpha: 0.25 },
  ],
  [
    'PRelu of one slope',
    [node('PRelu', ['c', 'slope'], 'y')],
    [scalar('slope', 0.25)],
    { kind: 'leaky_relu', alpha: 0.25 },
  ],
  ['Elu', [node('Elu', ['c'], 'y', [makeFloat('alpha', 0.5)])], [], { kind: 'elu', alpha: 0.5 }],
  ['Sigmoid', [node('Sigmoid', ['c'], 'y')], [], { kind: 'sigmoid' }],
  ['Tanh', [node('Tanh', ['c'], 'y')], [], { kind: 'tanh' }],
  ['Softplus', [node('Softplus', ['c'], 'y')], [], { kind: 'softplus' }],
  [
    'HardSigmoid',
    [node('HardSigmoid', ['c'], 'y', [makeFloat('alpha', 0.25), makeFloat('beta', 0.5)])],
    [],
    { kind: 'hard_sigmoid', alpha: 0.25, beta: 0.5 },
  ],
  ['HardSwish', [node('HardSwish', ['c'], 'y')], [], { kind: 'hard_swish' }],
  ['Gelu', [node('Gelu', ['c'], 'y')], [], { kind: 'gelu', approximate: false }],
  ['Gelu by tanh', [node('Gelu', ['c'], 'y', [text('approximate', 'tanh')])], [], { kind: 'gelu', approximate: true }],
  ['x * sigmoid(x)', [node('Sigmoid', ['c'], 's'), node('Mul', ['c', 's'], 'y')], [], { kind: 'silu' }],
  ['sigmoid(x) * x', [node('Sigmoid', ['c'], 's'), node('Mul', ['s', 'c'], 'y')], [], { kind: 'silu' }],
  [
    'x * hard_sigmoid(x)',
    [
      node('HardSigmoid', ['c'], 's', [makeFloat('alpha', 1 / 6), makeFloat('beta', 0.5)]),
      node('Mul', ['c', 's'], 'y'),
    ],
    [],
    { kind: 'hard_swish' },
  ],
  [
    'x * clip(x + 3, 0, 6) / 6',
    [
      node('Add', ['c', 'three'], 'a'),
      node('Clip', ['a', 'zero', 'six'], 'k'),
      node('Mul', ['c', 'k'], 'p'),
      node('Div', ['p', 'six'], 'y'),
    ],
    [scalar('three', 3), scalar('zero', 0), scalar('six', 6)],
    { kind: 'hard_swish' },
  ],
  [
    'GELU by Erf',
    [
      node('Div', ['c', 'root'], 'd'),
      node('Erf', ['d'], 'e'),
      node('Add', ['e', 'one'], 'a'),
      node('Mul', ['c', 'a'], 'p'),
      node('Mul', ['p', 'half'], 'y'),
    ],
    [scalar('root', Math.SQRT2), scalar('one', 1), scalar('half', 0.5)],
    { kind: 'gelu', approximate: false },
  ],
  [
    'GELU by Tanh',
    [
      node('Pow', ['c', 'three'], 'p'),
      node('Mul', ['p', 'k'], 'q'),
      node('Add', ['c', 'q'], 'r'),
      node('Mul', ['r', 'root'], 's'),
      node('Tanh', ['s'], 't'),
      node('Add', ['t', 'one'], 'u'),
      node('Mul', ['c', 'half'], 'v'),
      node('Mul', ['v', 'u'], 'y'),
    ],
    [
      scalar('three', 3),
      scalar('k', 0.044715),
      scalar('root', Math.sqrt(2 / Math.PI)),
      scalar('one', 1),
      scalar('half', 0.5),
    ],
    { kind: 'gelu', approximate: true },
  ],
  ['Relu behind MaxPool', [pool('c', 'p'), node('Relu', ['p'], 'y')], [], { kind: 'relu' }],
  ['Sigmoid behind Flatten', [node('Flatten', ['c'], 'f'), node('Sigmoid', ['f'], 'y')], [], { kind: 'sigmoid' }],
  [
    'Relu behind Identity and Dropout',
    [node('Identity', ['c'], 'i'), node('Dropout', ['i'], 'd'), node('Relu', ['d'], 'y')],
    [],
    { kind: 'relu' },
  ],
];

describe('the activation behind a layer', () => {
  it.each(FOUND)('is found: %s', async (_, nodes, tensors, expected, opset = 20) => {
    const found = await behind(nodes, tensors, opset);
    expect(found?.kind).toBe(expected.kind);
    for (const [key, value] of Object.entries(expected)) {
      const actual = (found as unknown as Record<string, unknown>)[key];
      if (typeof value === 'number') expect(actual).toBeCloseTo(value, 6);
      else expect(actual).toBe(value);
    }
  });

  const HIDDEN: [string, NodeProto[], TensorProto[]][] = [
    ['a second consumer sees the tensor', [node('Relu', ['c'], 'r'), node('Add', ['r', 'c'], 'y')], []],
    [
      'SiLU behind MaxPool, which does not commute',
      [pool('c', 'p'), node('Sigmoid', ['p'], 's'), node('Mul', ['p', 's'], 'y')],
      [],
    ],
    [
      'a leaky slope below zero behind MaxPool',
      [pool('c', 'p'), node('LeakyRelu', ['p'], 'y', [makeFloat('alpha', -0.5)])],
      [],
    ],
    [
      'Relu behind AveragePool',
      [node('AveragePool', ['c'], 'p', [makeInts('kernel_shape', [2, 2])]), node('Relu', ['p'], 'y')],
      [],
    ],
    [
      'Mish, which is not known',
      [node('Softplus', ['c'], 's'), node('Tanh', ['s'], 't'), node('Mul', ['c', 't'], 'y')],
      [],
    ],
    ['x tanh(x), which is not known', [node('Tanh', ['c'], 't'), node('Mul', ['c', 't'], 'y')], []],
  ];
  it.each(HIDDEN)('is none: %s', async (_, nodes, tensors) => {
    expect(await behind(nodes, tensors)).toEqual({ kind: 'identity' });
  });

  it('is none when the tensor itself is an output of the network', async () => {
    const sketch = {
      input: [3, 6, 6],
      output: 'c',
      tensors: [tensorOf('w', [4, 3, 3, 3])],
      nodes: [node('Conv', ['x', 'w'], 'c'), node('Relu', ['c'], 'r')],
    };
    const { layers } = await listLayers(prepare(await build(sketch)), batchOf(sketch.input, 2), { threads: 1 });
    expect(layers[0]?.activation).toEqual({ kind: 'identity' });
  });
});
