import { describe, expect, it } from 'vitest';
import { listLayers, prepare, type Layer } from '../../src/models/index.js';
import { makeInt, makeInts, makeNode } from '../../src/models/ir/attributes.js';
import { DataType } from '../../src/models/ir/messages.js';
import { floatTensor, int64Tensor } from '../../src/models/ir/tensors.js';
import { batchOf, build, node, tensorOf, type Sketch } from './graphs.js';
import { TOPOLOGIES } from './topologies.js';

async function list(sketch: Sketch | undefined): Promise<Layer[]> {
  if (sketch === undefined) throw new Error('no such topology');
  return (await listLayers(prepare(await build(sketch)), batchOf(sketch.input, 2), { threads: 1 })).layers;
}

async function only(sketch: Sketch | undefined): Promise<Layer> {
  const layers = await list(sketch);
  if (layers[0] === undefined || layers.length !== 1)
    throw new Error(`one layer is expected, not ${String(layers.length)}`);
  return layers[0];
}

describe('a listed layer', () => {
  it('has the geometry, positions, parameters and MACs of a convolution', async () => {
    expect(await only(TOPOLOGIES['strided, dilated, asymmetric padding'])).toMatchObject({
      name: 'conv',
      op: 'Conv',
      m: 6,
      channels: 4,
      d: 24,
      kernel: [3, 2],
      strides: [2, 3],
      dilations: [2, 1],
      pads: [2, 0, 1, 3],
      // rows: (11 + 3 - 4 - 1) / 2 + 1 = 5; columns: (9 + 3 - 1 - 1) / 3 + 1 = 4
      positions: 20,
      parameters: 144,
      macs: 20 * 144,
      hasBias: false,
      input: 'x',
      output: 'y',
      blocked: null,
    });
  });

  it.each([
    ['auto_pad SAME_UPPER', [1, 1, 1, 2], 4 * 4],
    ['auto_pad SAME_LOWER', [2, 1, 1, 0], 70],
    ['auto_pad VALID', [0, 0, 0, 0], 8 * 5],
  ])('has explicit padding for %s', async (name, pads, positions) => {
    const layer = await only(TOPOLOGIES[name]);
    expect(layer).toMatchObject({ pads, positions });
  });

  it('has one position per row of a product with more dimensions, and the bias of its Add', async () => {
    expect(await only(TOPOLOGIES['MatMul and Add on three dimensions'])).toMatchObject({
      op: 'MatMul',
      m: 7,
      d: 12,
      channels: 12,
      kernel: [],
      positions: 5,
      parameters: 91,
      macs: 5 * 84,
      hasBias: true,
      output: 'a',
      activation: { kind: 'sigmoid' },
    });
  });

  it('carries the folded normalization: the output is the normalized one, the activation the one behind it', async () => {
    const layers = await list(TOPOLOGIES['batch normalization after convolution and Gemm']);
    expect(layers.map(({ name, output, activation, hasBias }) => [name, output, activation.kind, hasBias])).toEqual([
      ['conv', 'n', 'relu', true],
      ['fc', 'y', 'identity', true],
    ]);
  });

  it('carries the bias and the scale of nodes behind it: its activation is what follows them', async () => {
    const layers = await list(TOPOLOGIES['bias and scale in nodes of their own']);
    expect(layers.map(({ name, output, activation, hasBias }) => [name, output, activation.kind, hasBias])).toEqual([
      ['conv1', 's1', 'relu', true],
      ['conv2', 's2', 'relu', true],
      ['fc', 'y', 'identity', true],
    ]);
  });

  it.each([
    ['along the columns', [5]],
    ['of every place', [4, 5, 5]],
    ['with one more dimension', [1, 1, 4, 1, 1]],
  ])('does not take a constant %s for its bias', async (_, dims) => {
    const layers = await list({
      input: [3, 7, 7],
      tensors: [tensorOf('w', [4, 3, 3, 3]), tensorOf('c', dims)],
      nodes: [node('Conv', ['x', 'w'], 'p'), node('Add', ['p', 'c'], 'y')],
    });
    expect(layers[0]).toMatchObject({ output: 'p', hasBias: false });
  });

  it('keeps weights that others read as they are, and takes a bias of its own only', async () => {
    const sketch: Sketch = {
      input: [4, 6, 6],
      tensors: [tensorOf('w', [4, 4, 1, 1]), tensorOf('b', [1, 4, 1, 1]), tensorOf('s', [1, 4, 1, 1])],
      nodes: [
        node('Conv', ['x', 'w'], 'c1'),
        node('Add', ['c1', 'b'], 'a'),
        node('Conv', ['a', 'w'], 'c2'),
        node('Mul', ['c2', 's'], 'y'),
      ],
    };
    const listed = await listLayers(prepare(await build(sketch)), batchOf(sketch.input, 2), { threads: 1 });
    // The scale cannot be folded into weights that others read: it is no layer's, and held all the same.
    expect(listed.parameters).toBe(16 + 4 + 4);
    const [layer, ...others] = listed.layers;
    expect(others).toEqual([]);
    expect(layer?.uses?.map(({ output }) => output)).toEqual(['a', 'c2']);
    expect(layer).toMatchObject({ hasBias: false, biases: 2 });
  });

  it('knows the branch that is added to its output, and the activation behind the sum', async () => {
    const layers = await list(TOPOLOGIES['residual addition']);
    expect(layers.map(({ activation }) => activation.kind)).toEqual(['relu', 'relu']);
    expect(layers[0]?.skip).toBeNull();
    expect(Object.keys(layers[1]?.skip ?? {})).toEqual(['other', 'sum']);
  });

  it('does not take an addition of another shape for a skip branch', async () => {
    const layers = await list({
      input: [4, 6, 6],
      tensors: [tensorOf('w', [4, 4, 3, 3])],
      nodes: [
        node('Conv', ['x', 'w'], 'c', [makeInts('pads', [1, 1, 1, 1])]),
        node('GlobalAveragePool', ['x'], 'g'),
        node('Add', ['c', 'g'], 's'),
        node('Relu', ['s'], 'y'),
      ],
    });
    expect(layers[0]?.skip).toBeNull();
    expect(layers[0]?.activation.kind).toBe('identity');
  });

  it('is named after its output when the node has no name', async () => {
    const layers = await list({
      input: [4],
      tensors: [tensorOf('a', [4, 4]), tensorOf('b', [4, 4], 3), tensorOf('c', [4, 4], 9)],
      nodes: [
        node('MatMul', ['x', 'a'], 'p', [], ''),
        node('MatMul', ['p', 'b'], 'q', [], 'named'),
        node('MatMul', ['q', 'c'], 'y', [], ''),
      ],
    });
    expect(layers.map(({ name }) => name)).toEqual(['p', 'named', 'y']);
  });

  it('counts tensors that several layers use once', async () => {
    const model = prepare(
      await build({
        input: [4],
        tensors: [tensorOf('a', [4, 4]), tensorOf('c', [4, 4], 9), tensorOf('bias', [4])],
        nodes: [node('Gemm', ['x', 'a', 'bias'], 'p'), node('Gemm', ['p', 'c', 'bias'], 'y')],
      }),
    );
    const listed = await listLayers(model, batchOf([4], 2), { threads: 1 });
    expect(listed.parameters).toBe(36);
    expect(listed.layers.map(({ blocked }) => blocked)).toEqual([null, null]);
  });
});

const convolution = (group: number, weights: number[], op = 'Conv'): Sketch => ({
  input: [4, 6, 6],
  tensors: [tensorOf('w', weights)],
  nodes: [node(op, ['x', 'w'], 'y', [makeInt('group', group)])],
});

const BLOCKED: [string, Sketch, RegExp][] = [
  ['grouped', convolution(2, [6, 2, 3, 3]), /grouped convolution \(2 groups\)/],
  ['depthwise', convolution(4, [4, 1, 3, 3]), /^depthwise convolution$/],
  ['transposed in groups', convolution(2, [4, 5, 3, 3], 'ConvTranspose'), /grouped transposed convolution/],
  [
    'computed weights',
    {
      input: [4, 6, 6],
      tensors: [tensorOf('w', [3, 4, 3, 3])],
      nodes: [node('Abs', ['w'], 'v'), node('Conv', ['x', 'v'], 'y')],
    },
    /not constant/,
  ],
  [
    'quantized weights',
    {
      input: [4],
      tensors: [
        { name: 'w', dims: [4, 3], dataType: DataType.INT8, rawData: new Uint8Array(12).fill(3) },
        floatTensor('scale', [], Float32Array.of(0.1)),
      ],
      nodes: [node('DequantizeLinear', ['w', 'scale'], 'v'), node('MatMul', ['x', 'v'], 'y')],
    },
    /quantized/,
  ],
  [
    'shared weights',
    {
      input: [4],
      tensors: [tensorOf('w', [4, 4])],
      nodes: [node('MatMul', ['x', 'w'], 'p', [], 'one'), node('Gemm', ['p', 'w'], 'y', [], 'two')],
    },
    /shared with/,
  ],
  [
    'weights on the left',
    { input: [4, 5], tensors: [tensorOf('w', [3, 4])], nodes: [node('MatMul', ['w', 'x'], 'y')] },
    /left side/,
  ],
  [
    'batched weights',
    { input: [2, 3, 4], tensors: [tensorOf('w', [2, 4, 5])], nodes: [node('MatMul', ['x', 'w'], 'y')] },
    /3 dimensions/,
  ],
  [
    'a transposed input',
    {
      input: [4],
      batch: 2,
      tensors: [tensorOf('w', [2, 3])],
      nodes: [node('Gemm', ['x', 'w'], 'y', [makeInt('transA', 1)])],
    },
    /transposed/,
  ],
  [
    'a bias per row',
    {
      input: [4],
      batch: 2,
      tensors: [tensorOf('w', [4, 3]), tensorOf('b', [2, 3])],
      nodes: [node('Gemm', ['x', 'w', 'b'], 'y')],
    },
    /bias differs/,
  ],
];

describe('a layer that must stay dense', () => {
  it.each(BLOCKED)('says why: %s', async (_, sketch, reason) => {
    const [layer] = await list(sketch);
    expect(layer?.blocked).toMatch(reason);
    expect(layer?.m).toBeGreaterThan(0);
  });

  it('still counts its multiplications', async () => {
    expect(await only(convolution(2, [6, 2, 3, 3]))).toMatchObject({ parameters: 108, macs: 16 * 108 });
    expect(await only(convolution(1, [4, 5, 3, 3], 'ConvTranspose'))).toMatchObject({
      parameters: 180,
      macs: 36 * 180,
    });
  });

  it('is counted with all its matrices when it is recurrent', async () => {
    const recurrent = (op: string, gates: number): Sketch => ({
      input: [5, 3],
      tensors: [tensorOf('w', [2, gates * 4, 3]), tensorOf('r', [2, gates * 4, 4]), tensorOf('b', [2, gates * 8])],
      nodes: [
        node('Transpose', ['x'], 't', [makeInts('perm', [1, 0, 2])]),
        makeNode(
          op,
          'layer',
          ['t', 'w', 'r', 'b'],
          ['', 'y'],
          [makeInt('hidden_size', 4), { name: 'direction', type: 3, s: Buffer.from('bidirectional') }],
        ),
      ],
    });
    for (const [op, gates] of [
      ['LSTM', 4],
      ['GRU', 3],
      ['RNN', 1],
    ] as const) {
      const matrices = 2 * gates * 4 * (3 + 4);
      expect(await only(recurrent(op, gates))).toMatchObject({
        name: 'layer',
        op,
        m: 8,
        channels: 3,
        positions: 5,
        parameters: matrices + 2 * gates * 8,
        macs: 5 * matrices,
        blocked: `recurrent layer (${op})`,
      });
    }
  });

  it('is not listed when it has no weights at all', async () => {
    const layers = await list({
      input: [4, 4],
      tensors: [int64Tensor('unused', [1], [0])],
      nodes: [node('Transpose', ['x'], 't', [makeInts('perm', [0, 2, 1])]), node('MatMul', ['x', 't'], 'y')],
    });
    expect(layers).toEqual([]);
  });
});
