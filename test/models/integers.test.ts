import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import {
  countIntegerLayers,
  extract,
  Histogram,
  integerEnds,
  integerLayers,
  integerTensors,
  listLayers,
  loadModel,
  prepare,
  raiseOpset,
  rectifyFirst,
  Runner,
  saveModel,
  toIntegers,
  type OnnxModel,
  type Range,
} from '../../src/models/index.js';
import { makeFloat, makeInt, makeInts } from '../../src/models/onnx/attributes.js';
import { decodeModel } from '../../src/models/onnx/codec.js';
import { DataType } from '../../src/models/onnx/messages.js';
import { floatTensor, int64Tensor, tensorFloats } from '../../src/models/onnx/tensors.js';
import { batchOf, build, LIMITS, node, noise, scratch, tensorOf, type Sketch } from './graphs.js';
import { TOPOLOGIES } from './topologies.js';

const padded = [makeInts('pads', [1, 1, 1, 1])];
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

async function values(model: OnnxModel, input: number[], names: readonly string[], count = 16, seed = 5) {
  const inner = names.filter((name) => name !== 'x');
  const runner = await Runner.open(model, { threads: 1, capture: inner });
  try {
    const batch = batchOf(input, count, seed);
    return (await runner.run(batch)).set('x', batch);
  } finally {
    await runner.release();
  }
}

async function output(model: OnnxModel, input: number[], count = 16, seed = 5): Promise<Float32Array> {
  return (await values(model, input, [], count, seed)).get('y')?.data as Float32Array;
}

async function rangesOf(model: OnnxModel, input: number[]): Promise<Map<string, Range>> {
  const names = integerTensors(model);
  const found = await values(model, input, names);
  return new Map(
    names.map((name) => {
      const histogram = new Histogram();
      histogram.add(found.get(name)?.data as Float32Array);
      return [name, histogram.range ?? { low: NaN, high: NaN }];
    }),
  );
}

const readyFor = async (sketch: Sketch) => rectifyFirst(raiseOpset(prepare(await build(sketch))));

async function integersOf(sketch: Sketch, leftFloat = new Set<string>()) {
  const float = await readyFor(sketch);
  const ranges = await rangesOf(float, sketch.input);
  return { float, ranges, integers: toIntegers(float, { ranges, energies: new Map(), leftFloat }) };
}

/** Root mean square of the difference, over that of the first. */
function relativeError(a: Float32Array, b: Float32Array): number {
  expect(b.length).toBe(a.length);
  const squares = (f: (i: number) => number) => a.reduce((sum, _, i) => sum + f(i) ** 2, 0);
  return Math.sqrt(squares((i) => (a[i] ?? 0) - (b[i] ?? NaN)) / squares((i) => a[i] ?? 0));
}

/** Operators of the network as ONNX Runtime runs it. */
async function fused(model: OnnxModel): Promise<string[]> {
  const directory = scratch();
  const [path, optimized] = [join(directory, 'model.onnx'), join(directory, 'optimized.onnx')];
  await saveModel(model, path);
  const session = await InferenceSession.create(path, {
    optimizedModelFilePath: optimized,
    graphOptimizationLevel: 'extended',
    logSeverityLevel: 3,
  });
  await session.release();
  return decodeModel(readFileSync(optimized)).graph?.node.map(({ opType }) => opType) ?? [];
}

const opsOf = (model: OnnxModel) => model.graph.node.map(({ opType }) => opType);

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
    const part = (model: OnnxModel, from: string, to: string) => extract(model, [from], [to]).model;
    const ends = integerEnds(integers, { from: 'r1', to: 'c2' });
    const ops = await fused(part(integers, ends.from, ends.to));
    expect(ops).toEqual(['QLinearConv']);
    const behind = integerEnds(integers, { from: 'x', to: 'c1' });
    expect(await fused(part(integers, behind.from, behind.to))).toEqual(['QLinearConv']);
    expect(integerEnds(float, { from: 'r1', to: 'c2' })).toEqual({ from: 'r1', to: 'c2' });
  });
});

describe('what stays float', () => {
  const LAYERS: Sketch = {
    input: [8, 6, 6],
    tensors: [
      tensorOf('w1', [8, 8, 3, 3], 2),
      tensorOf('w2', [8, 1, 3, 3], 3),
      tensorOf('w3', [8, 4, 3, 3], 4),
      tensorOf('w4', [8, 6, 2, 2], 5),
      tensorOf('w5', [6, 6, 1, 1], 6),
    ],
    nodes: [
      node('Conv', ['x', 'w1'], 'a', padded, 'dense'),
      node('Conv', ['a', 'w2'], 'b', [...padded, makeInt('group', 8)], 'depthwise'),
      node('Conv', ['b', 'w3'], 'c', [...padded, makeInt('group', 2)], 'grouped'),
      node('ConvTranspose', ['c', 'w4'], 'd', [], 'transposed'),
      node('Softplus', ['d'], 'e'),
      node('Conv', ['e', 'w5'], 'y', [], 'last'),
    ],
  };

  it('are depthwise, grouped and transposed convolutions and unknown operators; the rest is right', async () => {
    const { float, integers } = await integersOf(LAYERS);
    expect(integerLayers(float)).toEqual(['dense', 'last']);
    expect(countIntegerLayers(integers)).toEqual({ integer: 2, all: 5 });
    expect(relativeError(await output(float, LAYERS.input), await output(integers, LAYERS.input))).toBeLessThan(0.02);
  });

  it('are the layers that are named', async () => {
    const { float, integers } = await integersOf(LAYERS, new Set(['dense']));
    expect(countIntegerLayers(integers)).toEqual({ integer: 1, all: 5 });
    const none = await integersOf(LAYERS, new Set(['dense', 'last']));
    expect(none.integers).toBe(none.float);
    expect(relativeError(await output(float, LAYERS.input), await output(integers, LAYERS.input))).toBeLessThan(0.02);
  });

  it('are layers next to a tensor without a range, or with one that is not finite', async () => {
    const sketch = TOPOLOGIES['residual addition'];
    if (sketch === undefined) throw new Error('no such network');
    const { float, ranges } = await integersOf(sketch);
    for (const bad of [undefined, { low: NaN, high: 1 }, { low: 0, high: Infinity }, { low: -3e38, high: 3e38 }]) {
      const fewer = new Map(ranges);
      if (bad === undefined) fewer.delete('r1');
      else fewer.set('r1', bad);
      const integers = toIntegers(float, { ranges: fewer, energies: new Map() });
      // r1 is what the first makes and the second reads.
      expect(countIntegerLayers(integers).integer).toBe(0);
      expect(await output(integers, sketch.input)).toEqual(await output(float, sketch.input));
    }
    const without = new Map(ranges);
    without.delete('s');
    without.delete('y');
    expect(countIntegerLayers(toIntegers(float, { ranges: without, energies: new Map() })).integer).toBe(2);
  });

  it('are rows too long for 32 bits of sums', async () => {
    const sketch: Sketch = {
      input: [34_000],
      tensors: [tensorOf('w', [34_000, 2])],
      nodes: [node('Gemm', ['x', 'w'], 'y', [], 'long')],
    };
    expect(integerLayers(await readyFor(sketch))).toEqual([]);
  });

  it('are layers whose weights or bias are computed, and those whose input is turned', async () => {
    const computed: Sketch = {
      input: [6],
      tensors: [tensorOf('w', [6, 4]), tensorOf('b', [4])],
      nodes: [
        node('Tanh', ['b'], 'bt'),
        node('Gemm', ['x', 'w', 'bt'], 'a', [], 'computed bias'),
        node('Sqrt', ['w'], 'ws'),
        node('Gemm', ['x', 'ws'], 'c', [], 'computed weights'),
        node('Sum', ['a', 'c'], 'y'),
      ],
    };
    expect(integerLayers(await readyFor(computed))).toEqual([]);
    const turned: Sketch = {
      input: [3],
      batch: 6,
      tensors: [tensorOf('w', [6, 4])],
      nodes: [node('Gemm', ['x', 'w'], 'y', [makeInt('transA', 1)], 'turned')],
    };
    expect(integerLayers(await readyFor(turned))).toEqual([]);
  });
});

describe('hostile networks', () => {
  it('with dead activations compute zeros and biases', async () => {
    const sketch: Sketch = {
      input: [4, 5, 5],
      tensors: [
        tensorOf('w1', [4, 4, 1, 1]),
        floatTensor('b1', [4], new Float32Array(4).fill(-1000)),
        tensorOf('w2', [6, 4, 3, 3], 4),
        tensorOf('b2', [6]),
      ],
      nodes: [
        node('Conv', ['x', 'w1', 'b1'], 'a', [], 'dies'),
        node('Relu', ['a'], 'r'),
        node('Conv', ['r', 'w2', 'b2'], 'y', padded, 'after'),
      ],
    };
    const { float, ranges, integers } = await integersOf(sketch);
    expect(ranges.get('r')).toEqual({ low: 0, high: 0 });
    const [before, after] = [await output(float, sketch.input), await output(integers, sketch.input)];
    // Half a step of the outputs (at most 1 / 255), and half a step of the biases (1 x at most 0.5 / 127).
    for (const [i, value] of before.entries()) expect(Math.abs(value - (after[i] ?? NaN))).toBeLessThan(0.004);
  });

  it('with rows of zeros or tiny weights and large biases do not overflow', async () => {
    const weights = noise(6 * 4 * 9, 4).map((v, i) => (i < 36 ? 0 : i < 72 ? v * 1e-20 : i < 108 ? v * 1e-38 : v));
    const sketch: Sketch = {
      input: [4, 5, 5],
      tensors: [floatTensor('w', [6, 4, 3, 3], weights), floatTensor('b', [6], Float32Array.of(3, -2, 1, 0.5, -3, 0))],
      nodes: [node('Conv', ['x', 'w', 'b'], 'y', padded, 'conv')],
    };
    const { float, integers } = await integersOf(sketch);
    expect(relativeError(await output(float, sketch.input), await output(integers, sketch.input))).toBeLessThan(0.01);
    for (const tensor of integers.graph.initializer)
      if (tensor.dataType === DataType.FLOAT)
        for (const scale of tensorFloats(tensor, null)) expect(scale >= 2 ** -126 && Number.isFinite(scale)).toBe(true);
  });

  it('that read one tensor of weights twice, or let other nodes read it, store its integers once', async () => {
    const shared: Sketch = {
      input: [16, 4, 4],
      tensors: [tensorOf('w', [16, 16, 3, 3])],
      nodes: [
        node('Conv', ['x', 'w'], 'a', padded, 'one'),
        node('Conv', ['a', 'w'], 'b', padded, 'two'),
        node('ReduceMean', ['w'], 'm', [makeInt('keepdims', 0)]),
        node('Add', ['b', 'm'], 'y'),
      ],
    };
    const { float, integers } = await integersOf(shared);
    const stored = integers.graph.initializer.filter(
      ({ dataType, dims }) => dataType === DataType.INT8 && dims.length === 4,
    );
    expect(stored).toHaveLength(1);
    expect(integers.graph.initializer.filter(({ name }) => name === 'w')).toHaveLength(1);
    expect(relativeError(await output(float, shared.input), await output(integers, shared.input))).toBeLessThan(0.02);
    expect((await fused(integers)).filter((op) => op === 'QLinearConv')).toHaveLength(2);
  });

  it('with a bias that two layers share keep both right', async () => {
    const sketch: Sketch = {
      input: [4, 5, 5],
      tensors: [tensorOf('w1', [4, 4, 1, 1]), tensorOf('w2', [4, 4, 3, 3], 8), tensorOf('b', [4])],
      nodes: [node('Conv', ['x', 'w1', 'b'], 'a', [], 'one'), node('Conv', ['a', 'w2', 'b'], 'y', padded, 'two')],
    };
    const { float, integers } = await integersOf(sketch);
    expect(relativeError(await output(float, sketch.input), await output(integers, sketch.input))).toBeLessThan(0.02);
  });

  it('whose calibration saw less than later inputs saturate and go on', async () => {
    const sketch = TOPOLOGIES['residual addition'];
    if (sketch === undefined) throw new Error('no such network');
    const { float, ranges } = await integersOf(sketch);
    const small = new Map([...ranges].map(([name, { low, high }]) => [name, { low: low / 10, high: high / 10 }]));
    const integers = toIntegers(float, { ranges: small, energies: new Map() });
    for (const value of await output(integers, sketch.input)) expect(Number.isFinite(value)).toBe(true);
  });

  it('with names that ours would collide with stay right', async () => {
    const sketch: Sketch = {
      input: [4, 5, 5],
      tensors: [tensorOf('w', [4, 4, 1, 1]), tensorOf('w_int8', [4, 4, 1, 1], 8), tensorOf('w_scale', [4, 4, 1, 1], 9)],
      nodes: [
        node('Conv', ['x', 'w'], 'x_quantized', [], 'one'),
        node('Conv', ['x_quantized', 'w_int8'], 'x_dequantized', [], 'x_scale'),
        node('Conv', ['x_dequantized', 'w_scale'], 'y', [], 'x_zero_point'),
      ],
    };
    const { float, integers } = await integersOf(sketch);
    expect(relativeError(await output(float, sketch.input), await output(integers, sketch.input))).toBeLessThan(0.03);
    const made = integers.graph.node.flatMap(({ output: names }) => names);
    expect(new Set(made).size).toBe(made.length);
  });
});
