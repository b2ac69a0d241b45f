import { describe, expect, it } from 'vitest';
import { countIntegerLayers, integerLayers, toIntegers } from '../../src/models/index.js';
import { makeInt } from '../../src/models/ir/attributes.js';
import { DataType } from '../../src/models/ir/messages.js';
import { floatTensor, tensorFloats } from '../../src/models/ir/tensors.js';
import { node, noise, tensorOf, type Sketch } from './graphs.js';
import { fused, integersOf, output, padded, readyFor, relativeError } from './integer-networks.js';
import { TOPOLOGIES } from './topologies.js';

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

  it('are transposed convolutions and unknown operators; the rest is right', async () => {
    const { float, integers } = await integersOf(LAYERS);
    expect(integerLayers(float)).toEqual(['dense', 'depthwise', 'grouped', 'last']);
    expect(countIntegerLayers(integers)).toEqual({ integer: 4, all: 5 });
    expect(relativeError(await output(float, LAYERS.input), await output(integers, LAYERS.input))).toBeLessThan(0.03);
  });

  it('are the layers that are named', async () => {
    const { float, integers } = await integersOf(LAYERS, new Set(['dense']));
    expect(countIntegerLayers(integers)).toEqual({ integer: 3, all: 5 });
    const none = await integersOf(LAYERS, new Set(integerLayers(float)));
    expect(none.integers).toBe(none.float);
    expect(relativeError(await output(float, LAYERS.input), await output(integers, LAYERS.input))).toBeLessThan(0.03);
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
    expect(relativeError(await output(float, shared.input), await output(integers, shared.input))).toBeLessThan(0.03);
    expect((await fused(integers)).filter((op) => op === 'QLinearConv')).toHaveLength(2);
  });

  it('with a bias that two layers share keep both right', async () => {
    const sketch: Sketch = {
      input: [4, 5, 5],
      tensors: [tensorOf('w1', [4, 4, 1, 1]), tensorOf('w2', [4, 4, 3, 3], 8), tensorOf('b', [4])],
      nodes: [node('Conv', ['x', 'w1', 'b'], 'a', [], 'one'), node('Conv', ['a', 'w2', 'b'], 'y', padded, 'two')],
    };
    const { float, integers } = await integersOf(sketch);
    expect(relativeError(await output(float, sketch.input), await output(integers, sketch.input))).toBeLessThan(0.03);
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
