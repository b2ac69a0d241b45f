import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  countIntegerLayers,
  extract,
  integerEnds,
  integerLayers,
  listLayers,
  loadModel,
  prepare,
  saveModel,
  toIntegers,
  type Model,
} from '../../src/models/index.js';
import { makeFloat, makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { floatTensor, int64Tensor, tensorFloats } from '../../src/models/ir/tensors.js';
import { batchOf, LIMITS, node, scratch, tensorOf, type Sketch } from './graphs.js';
import { fused, integersOf, output, padded, relativeError, values } from './integer-networks.js';
import { TOPOLOGIES } from './topologies.js';

const one = makeInts('kernel_shape', [2, 2]);
const two = makeInts('strides', [2, 2]);

/** What compressed networks are made of, and everything between layers that has integer kernels. */
const MORE: Record<string, Sketch> = {
  'low-rank and gathered sparse branches, pooling, a classifier': {
    input: [8, 8, 8],
    tensors: [
      tensorOf('q', [6, 8, 3, 3], 3),
      tensorOf('p', [16, 6, 1, 1], 4),
      tensorOf('pb', [16]),
      int64Tensor('kept', [3], [1, 4, 6]),
      tensorOf('s', [16, 3, 3, 3], 5),
      tensorOf('w', [16, 16, 3, 1], 6),
      tensorOf('f', [10, 256], 7),
      tensorOf('fb', [10]),
      tensorOf('w0', [8, 8, 1, 1], 9),
    ],
    nodes: [
      node('Conv', ['x', 'w0'], 'x0', [], 'first'),
      node('Conv', ['x0', 'q'], 'low', padded, 'low'),
      node('Conv', ['low', 'p', 'pb'], 'low_sum', [], 'lift'),
      node('Gather', ['x0', 'kept'], 'some', [makeInt('axis', 1)]),
      node('Conv', ['some', 's'], 'sparse_sum', padded, 'sparse'),
      node('Add', ['low_sum', 'sparse_sum'], 'sum'),
      node('Relu', ['sum'], 'r'),
      node('MaxPool', ['r'], 'pooled', [one, two]),
      node('Conv', ['pooled', 'w'], 'c', [makeInts('pads', [1, 0, 1, 0])], 'tall'),
      node('Relu', ['c'], 'rc'),
      node('Flatten', ['rc'], 'flat'),
      node('Gemm', ['flat', 'f', 'fb'], 'y', [makeInt('transB', 1)], 'classifier'),
    ],
  },
  'split channels, a path around layers, a gate, doubled maps and pixels out of channels, as detectors have them': {
    input: [6, 8, 8],
    tensors: [
      tensorOf('w1', [12, 6, 3, 3], 3),
      tensorOf('w2', [6, 6, 3, 3], 4),
      tensorOf('w3', [16, 18, 1, 1], 5),
      tensorOf('w4', [4, 4, 3, 3], 6),
      int64Tensor('halves', [2], [6, 6]),
      floatTensor('twice', [4], Float32Array.of(1, 1, 2, 2)),
      int64Tensor('tiles', [4], [1, 1, 1, 2]),
    ],
    nodes: [
      node('Conv', ['x', 'w1'], 'c1', padded, 'first'),
      node('Sigmoid', ['c1'], 's1'),
      node('Mul', ['c1', 's1'], 'a1'),
      { ...node('Split', ['a1', 'halves'], 'left', [makeInt('axis', 1)]), output: ['left', 'right'] },
      node('Conv', ['right', 'w2'], 'c2', padded, 'inner'),
      node('Relu', ['c2'], 'a2'),
      node('Concat', ['left', 'right', 'a2'], 'all', [makeInt('axis', 1)]),
      node('Conv', ['all', 'w3'], 'c3', [], 'joining'),
      node('Relu', ['c3'], 'a3'),
      node('Resize', ['a3', '', 'twice'], 'large', [
        { name: 'mode', type: 3, s: Buffer.from('nearest') },
        { name: 'coordinate_transformation_mode', type: 3, s: Buffer.from('asymmetric') },
        { name: 'nearest_mode', type: 3, s: Buffer.from('floor') },
      ]),
      node('DepthToSpace', ['large'], 'pixels', [makeInt('blocksize', 2)]),
      node('Tile', ['pixels', 'tiles'], 'wide'),
      node('Conv', ['wide', 'w4'], 'y', padded, 'last'),
    ],
  },
  'concatenation, averages and a rectifier behind the pooling': {
    input: [4, 8, 8],
    tensors: [
      tensorOf('w1', [8, 4, 3, 3]),
      tensorOf('w2', [8, 4, 1, 1], 3),
      tensorOf('w3', [12, 16, 3, 3], 4),
      tensorOf('f', [12, 5]),
    ],
    nodes: [
      node('Conv', ['x', 'w1'], 'a', padded, 'left'),
      node('Conv', ['x', 'w2'], 'b', [], 'right'),
      node('MaxPool', ['a'], 'ap', [one, two]),
      node('Relu', ['ap'], 'ar'),
      node('LeakyRelu', ['b'], 'bl', [makeFloat('alpha', 0.1)]),
      node('AveragePool', ['bl'], 'bp', [one, two]),
      node('Concat', ['ar', 'bp'], 'joined', [makeInt('axis', 1)]),
      node('Conv', ['joined', 'w3'], 'c', padded, 'third'),
      node('Relu', ['c'], 'cr'),
      node('GlobalAveragePool', ['cr'], 'g'),
      node('Reshape', ['g', 'shape'], 'flat'),
      node('Gemm', ['flat', 'f'], 'y', [], 'classifier'),
    ],
  },
  'Clip at 6, a product of branches, a product with a matrix': {
    input: [6, 5, 5],
    tensors: [
      tensorOf('w1', [6, 6, 3, 3]),
      tensorOf('w2', [6, 6, 1, 1], 4),
      tensorOf('w3', [5, 7], 5),
      tensorOf('b3', [7]),
      floatTensor('zero', [], Float32Array.of(0)),
      floatTensor('six', [], Float32Array.of(0.75)),
    ],
    nodes: [
      node('Conv', ['x', 'w1'], 'a', padded, 'left'),
      node('Clip', ['a', 'zero', 'six'], 'ac'),
      node('Conv', ['ac', 'w2'], 'b', [], 'right'),
      node('Sigmoid', ['b'], 'bs'),
      node('Mul', ['ac', 'bs'], 'gated'),
      node('MatMul', ['gated', 'w3'], 'm', [], 'product'),
      node('Add', ['m', 'b3'], 'y'),
    ],
  },
};
MORE['concatenation, averages and a rectifier behind the pooling']?.tensors.push(int64Tensor('shape', [2], [0, -1]));

const ALL = Object.entries({ ...TOPOLOGIES, ...MORE });
const opsOf = (model: Model) => model.graph.node.map(({ opType }) => opType);

describe('networks with integers', () => {
  it.each(ALL)('compute the same within the error of 8 bits, at any batch: %s', async (_, sketch) => {
    const { float, integers } = await integersOf(sketch);
    expect(opsOf(integers)).toContain('QuantizeLinear');
    for (const count of [1, 16]) {
      const [before, after] = [await output(float, sketch.input, count), await output(integers, sketch.input, count)];
      // Three roundings of some tenths of a percent each, and those of the weights.
      expect(relativeError(before, after)).toBeLessThan(0.03);
      expect(relativeError(before, after)).toBeGreaterThan(0);
    }
    const { integer, all } = countIntegerLayers(integers);
    expect(integer).toBe(all);
    expect(integer).toBe(integerLayers(float).length);
  });

  it.each(ALL)('are read back from their file, and count as the same parameters and MACs: %s', async (name, sketch) => {
    const { float, integers } = await integersOf(sketch);
    const path = join(scratch(), 'integers.onnx');
    await saveModel(integers, path);
    const read = prepare(await loadModel(path, { directory: scratch(), limits: LIMITS }));
    const probe = batchOf(sketch.input, 2);
    const [before, after] = [
      await listLayers(float, probe, { threads: 1 }),
      await listLayers(read, probe, { threads: 1 }),
    ];
    // One bias for all seven rows becomes one for each.
    expect(after.parameters).toBe(before.parameters + (name.endsWith('a scalar bias') ? 6 : 0));
    expect(after.macs).toBe(before.macs);
    expect(after.layers.map(({ blocked }) => blocked)).not.toContain(null);
    // Nothing in it is made into integers again.
    expect(integerLayers(read)).toEqual([]);
  });

  it('compute by the definition of the operators what the runtime computes with integer kernels', async () => {
    const sketch = MORE['low-rank and gathered sparse branches, pooling, a classifier'];
    if (sketch === undefined) throw new Error('no such network');
    const { integers } = await integersOf(sketch);
    const kept = integers.graph.node.flatMap(({ opType, output: [name] }) =>
      opType === 'QuantizeLinear' && name ? [name] : [],
    );
    // With every integer tensor as an output of the network nothing is fused across them.
    const seen = await values(integers, sketch.input, kept);
    const y = seen.get('y')?.data as Float32Array;
    const whole = await output(integers, sketch.input);
    expect(relativeError(y, whole)).toBeLessThan(0.01);
    for (const name of kept) expect(seen.get(name)?.data).toBeInstanceOf(Uint8Array);
  });

  it.each([
    [
      'low-rank and gathered sparse branches, pooling, a classifier',
      [
        'QuantizeLinear',
        'QLinearConv',
        'QLinearConv',
        'QLinearConv',
        'Gather',
        'QLinearConv',
        'QLinearAdd',
        'MaxPool',
        'QLinearConv',
        'Flatten',
        'QGemm',
      ],
    ],
    [
      'split channels, a path around layers, a gate, doubled maps and pixels out of channels, as detectors have them',
      [
        'QuantizeLinear',
        'QLinearConv',
        'QLinearSigmoid',
        'QLinearMul',
        // The runtime puts two slices together.
        'Split',
        'QLinearConv',
        'QLinearConcat',
        'QLinearConv',
        'Resize',
        'DepthToSpace',
        'Tile',
        'QLinearConv',
        'DequantizeLinear',
      ],
    ],
    [
      'concatenation, averages and a rectifier behind the pooling',
      [
        'QuantizeLinear',
        'QLinearConv',
        'QLinearConv',
        'MaxPool',
        'QLinearLeakyRelu',
        'QLinearAveragePool',
        'QLinearConcat',
        'QLinearConv',
        'QLinearGlobalAveragePool',
        'Reshape',
        'QGemm',
      ],
    ],
    [
      'Clip at 6, a product of branches, a product with a matrix',
      ['QuantizeLinear', 'QLinearConv', 'QLinearConv', 'QLinearSigmoid', 'QLinearMul', 'MatMulIntegerToFloat', 'Add'],
    ],
  ])('stay with integers from end to end in ONNX Runtime: %s', async (name, expected) => {
    const sketch = MORE[name];
    if (sketch === undefined) throw new Error('no such network');
    const { integers } = await integersOf(sketch);
    expect((await fused(integers)).sort()).toEqual([...expected].sort());
  });

  it.each([13, 15, 18, 21, 23, 26])('are taken by the integer kernels in opset %i too', async (opset) => {
    const sketch = TOPOLOGIES['residual addition'];
    if (sketch === undefined) throw new Error('no such network');
    const { integers } = await integersOf({ ...sketch, opset });
    const ops = await fused(integers);
    expect(ops.filter((op) => op === 'QLinearConv')).toHaveLength(2);
    expect(ops).not.toContain('Conv');
  });

  it('take a quarter of the bytes, with a scale for every row', async () => {
    const sketch: Sketch = {
      input: [64, 6, 6],
      tensors: [tensorOf('w', [64, 64, 3, 3]), tensorOf('b', [64])],
      nodes: [node('Conv', ['x', 'w', 'b'], 'y', padded, 'conv')],
    };
    const { integers } = await integersOf(sketch);
    const size = integers.graph.initializer.reduce((sum, { rawData }) => sum + (rawData?.length ?? 0), 0);
    // weights, their zero points and scales, biases and theirs, a scale and a zero point for input and output
    expect(size).toBe(64 * 64 * 9 + 64 * (1 + 4) + 64 * (4 + 4) + 2 * (4 + 1));
  });

  it('are the same for the same ranges', async () => {
    const sketch = TOPOLOGIES['residual addition'];
    if (sketch === undefined) throw new Error('no such network');
    const { float, ranges, integers } = await integersOf(sketch);
    const again = toIntegers(float, { ranges, energies: new Map(), coded: new Map() });
    expect(again.graph).toEqual(integers.graph);
  });

  it('keep names: of inputs, outputs, and of tensors that other nodes see', async () => {
    const sketch: Sketch = {
      input: [4, 6, 6],
      tensors: [tensorOf('w', [4, 4, 3, 3]), tensorOf('v', [4, 4, 1, 1], 6)],
      nodes: [
        node('Conv', ['x', 'w'], 'a', padded, 'first'),
        node('Conv', ['a', 'v'], 'b', [], 'second'),
        node('Tanh', ['a'], 't'),
        node('Sum', ['b', 't', 'x'], 'y'),
      ],
    };
    const { float, integers } = await integersOf(sketch);
    expect(integers.graph.input).toEqual(float.graph.input);
    expect(integers.graph.output).toEqual(float.graph.output);
    expect(relativeError(await output(float, sketch.input), await output(integers, sketch.input))).toBeLessThan(0.02);
    const seen = await values(integers, sketch.input, ['a', 'b']);
    expect(seen.get('a')?.data).toBeInstanceOf(Float32Array);
  });

  it('end and begin with integers where a part of them is timed', async () => {
    const sketch = TOPOLOGIES['residual addition'];
    if (sketch === undefined) throw new Error('no such network');
    const { float, integers } = await integersOf(sketch);
    const part = (model: Model, from: string, to: string) => extract(model, [from], [to]).model;
    const ends = integerEnds(integers, { from: 'r1', to: 'c2' });
    const ops = await fused(part(integers, ends.from, ends.to));
    expect(ops).toEqual(['QLinearConv']);
    const behind = integerEnds(integers, { from: 'x', to: 'c1' });
    expect(await fused(part(integers, behind.from, behind.to))).toEqual(['QLinearConv']);
    expect(integerEnds(float, { from: 'r1', to: 'c2' })).toEqual({ from: 'r1', to: 'c2' });
  });
});

describe('a layer that stays float between integers', () => {
  /** An input that is always 0 has a weight beside which all others are nothing where they share a step. */
  const outlier = (dims: number[], seed: number) => {
    const tensor = tensorOf('w', dims, seed);
    const weights = tensorFloats(tensor, null);
    const [rows = 1] = dims;
    for (let row = 0; row < rows; row++) weights[(row * weights.length) / rows] = 1e4;
    return floatTensor('w', dims, weights);
  };
  const silent = () => {
    const weights = tensorFloats(tensorOf('w0', [6, 4, 3, 3], 1), null);
    return floatTensor('w0', [6, 4, 3, 3], weights.fill(0, 0, 4 * 9));
  };
  const convolution = { w: outlier([6, 6, 1, 1], 2), last: tensorOf('l', [5, 6, 1, 1], 3) };
  const from = (input: string) => [
    node('Conv', [input, 'w'], 'b', [], 'inner'),
    node('Relu', ['b'], 'br'),
    node('Conv', ['br', 'l'], 'y', [], 'last'),
  ];
  const first = [node('Conv', ['x', 'w0'], 'a', padded, 'first'), node('Relu', ['a'], 'ar')];
  const CASES: Record<string, Sketch> = {
    directly: {
      input: [4, 8, 8],
      tensors: [silent(), convolution.w, convolution.last],
      nodes: [...first, ...from('ar')],
    },
    'behind what only moves its values': {
      input: [4, 8, 8],
      tensors: [silent(), convolution.w, convolution.last],
      nodes: [
        ...first,
        node('MaxPool', ['ar'], 'pooled', [one, two]),
        node('Transpose', ['pooled'], 'turned', [makeInts('perm', [0, 1, 3, 2])]),
        ...from('turned'),
      ],
    },
    'as a product of matrices': {
      input: [4, 2, 2],
      tensors: [silent(), outlier([7, 24], 2), tensorOf('l', [5, 7], 3)],
      nodes: [
        ...first,
        node('Flatten', ['ar'], 'flat'),
        node('Gemm', ['flat', 'w'], 'b', [makeInt('transB', 1)], 'inner'),
        node('Relu', ['b'], 'br'),
        node('Gemm', ['br', 'l'], 'y', [makeInt('transB', 1)], 'last'),
      ],
    },
  };
  it.each(Object.entries(CASES))('has its weights as they are: %s', async (_, sketch) => {
    const { float, integers } = await integersOf(sketch, new Set(['inner']));
    expect(integerLayers(float)).toEqual(['first', 'inner', 'last']);
    expect(countIntegerLayers(integers).integer).toBe(2);
    expect(relativeError(await output(float, sketch.input), await output(integers, sketch.input))).toBeLessThan(0.05);
  });
});
