import { describe, expect, it } from 'vitest';
import {
  channelTies,
  denseWeights,
  listLayers,
  nameIn,
  prepare,
  rewrite,
  Runner,
  type Factors,
  type Layer,
  type Model,
  type Replacement,
} from '../../src/models/index.js';
import { makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { floatTensor, int64Tensor } from '../../src/models/ir/tensors.js';
import { batchOf, build, node, tensorOf, type Sketch } from './graphs.js';

const conv = (from: string, to: string, name: string, pads = 1) =>
  node('Conv', [from, `${name}w`, `${name}b`], to, pads > 0 ? [makeInts('pads', [pads, pads, pads, pads])] : [], name);
const weights = (name: string, m: number, channels: number, kernel = 3) => [
  tensorOf(`${name}w`, [m, channels, kernel, kernel]),
  tensorOf(`${name}b`, [m]),
];
const depthwise = (from: string, to: string, name: string, group: number) =>
  node('Conv', [from, `${name}w`, `${name}b`], to, [makeInt('group', group), makeInts('pads', [1, 1, 1, 1])], name);

/** The layers, and what lies between: `a` makes 8 channels, `b` reads them. */
const TIED: Record<string, Sketch> = {
  'a rectifier': {
    input: [3, 6, 6],
    nodes: [conv('x', 'p', 'a'), node('Relu', ['p'], 'q'), conv('q', 'y', 'b')],
    tensors: [...weights('a', 8, 3), ...weights('b', 4, 8)],
  },
  nothing: {
    input: [3, 6, 6],
    nodes: [conv('x', 'p', 'a'), conv('p', 'y', 'b')],
    tensors: [...weights('a', 8, 3), ...weights('b', 4, 8)],
  },
  'a depthwise convolution and activations': {
    input: [3, 6, 6],
    nodes: [
      conv('x', 'p', 'a'),
      node('HardSwish', ['p'], 'q'),
      depthwise('q', 'r', 'd', 8),
      node('Clip', ['r', 'zero', 'six'], 's'),
      conv('s', 'y', 'b', 0),
    ],
    tensors: [
      ...weights('a', 8, 3),
      ...weights('d', 8, 1),
      ...weights('b', 4, 8, 1),
      floatTensor('zero', [], Float32Array.of(0)),
      floatTensor('six', [], Float32Array.of(6)),
    ],
  },
  'an activation of several nodes': {
    input: [3, 6, 6],
    nodes: [
      conv('x', 'p', 'a'),
      node('Sigmoid', ['p'], 'q'),
      node('Mul', ['p', 'q'], 'r'),
      node('MaxPool', ['r'], 's', [makeInts('kernel_shape', [2, 2])]),
      conv('s', 'y', 'b'),
    ],
    tensors: [...weights('a', 8, 3), ...weights('b', 4, 8)],
  },
  'slopes and factors for every channel, and a border': {
    input: [3, 6, 6],
    nodes: [
      conv('x', 'p', 'a'),
      node('PRelu', ['p', 'slope'], 'q'),
      node('Relu', ['q'], 'q2'),
      node('Mul', ['q2', 'factor'], 'r'),
      node('Pad', ['r', 'border'], 's'),
      conv('s', 'y', 'b', 0),
    ],
    tensors: [
      ...weights('a', 8, 3),
      ...weights('b', 4, 8),
      tensorOf('slope', [8, 1, 1]),
      tensorOf('factor', [1, 8, 1, 1], 7),
      int64Tensor('border', [8], [0, 0, 1, 1, 0, 0, 1, 1]),
    ],
  },
  'a mean and rows of it': {
    input: [3, 6, 6],
    nodes: [
      conv('x', 'p', 'a'),
      node('Relu', ['p'], 'q'),
      node('GlobalAveragePool', ['q'], 'r'),
      node('Flatten', ['r'], 's'),
      node('Gemm', ['s', 'bw', 'bb'], 'y', [makeInt('transB', 1)], 'b'),
    ],
    tensors: [...weights('a', 8, 3), tensorOf('bw', [4, 8]), tensorOf('bb', [4])],
  },
  'products of rows': {
    input: [5, 6],
    nodes: [
      node('MatMul', ['x', 'aw'], 'p', [], 'a'),
      node('Add', ['p', 'ab'], 'q'),
      node('Gelu', ['q'], 'r'),
      node('MatMul', ['r', 'bw'], 's', [], 'b'),
      node('Add', ['s', 'bb'], 'y'),
    ],
    tensors: [tensorOf('aw', [6, 8]), tensorOf('ab', [8]), tensorOf('bw', [8, 4]), tensorOf('bb', [4])],
    opset: 20,
  },
};

/** No channel of `a` can be left out for `b` alone. */
const APART: Record<string, Sketch> = {
  'a sum with another branch': {
    input: [8, 6, 6],
    nodes: [conv('x', 'p', 'a'), node('Add', ['p', 'x'], 'q'), conv('q', 'y', 'b')],
    tensors: [...weights('a', 8, 8), ...weights('b', 4, 8)],
  },
  'two readers': {
    input: [3, 6, 6],
    nodes: [conv('x', 'p', 'a'), conv('p', 'q', 'b'), conv('p', 'r', 'c'), node('Add', ['q', 'r'], 'y')],
    tensors: [...weights('a', 8, 3), ...weights('b', 4, 8), ...weights('c', 4, 8)],
  },
  'a softmax over the channels': {
    input: [3, 6, 6],
    nodes: [conv('x', 'p', 'a'), node('Softmax', ['p'], 'q', [makeInt('axis', 1)]), conv('q', 'y', 'b')],
    tensors: [...weights('a', 8, 3), ...weights('b', 4, 8)],
  },
  'a map that is flattened': {
    input: [3, 2, 2],
    nodes: [
      conv('x', 'p', 'a'),
      node('Flatten', ['p'], 's'),
      node('Gemm', ['s', 'bw', 'bb'], 'y', [makeInt('transB', 1)], 'b'),
    ],
    tensors: [...weights('a', 8, 3), tensorOf('bw', [4, 32]), tensorOf('bb', [4])],
  },
};

const KEPT = [1, 2, 6];

async function prepared(sketch: Sketch): Promise<{ model: Model; layers: Map<string, Layer> }> {
  const model = prepare(await build(sketch));
  const { layers } = await listLayers(model, batchOf(sketch.input), { threads: 1 });
  return { model, layers: new Map(layers.map((layer) => [layer.name, layer])) };
}

async function outputOf(model: Model, sketch: Sketch): Promise<Float32Array> {
  const runner = await Runner.open(model, { threads: 1 });
  try {
    return (await runner.run(batchOf(sketch.input))).get('y')?.data as Float32Array;
  } finally {
    await runner.release();
  }
}

const layerOf = (layers: ReadonlyMap<string, Layer>, name: string): Layer => {
  const layer = layers.get(name);
  if (layer === undefined) throw new RangeError(name);
  return layer;
};

/** The layer with some of its input channels, and the same with zeros for the others. */
function some(model: Model, layer: Layer, kept: readonly number[]): { narrow: Factors; zeros: Replacement } {
  const { weights: all, bias } = denseWeights(model, layer);
  const taps = layer.d / layer.channels;
  const narrow = new Float32Array(layer.m * kept.length * taps);
  const zeros = new Float32Array(all.length);
  for (let row = 0; row < layer.m; row++)
    kept.forEach((channel, i) => {
      const from = row * layer.d + channel * taps;
      const values = all.subarray(from, from + taps);
      narrow.set(values, (row * kept.length + i) * taps);
      zeros.set(values, from);
    });
  const sparse = { pattern: 'channel' as const, kept: [...kept], weights: narrow };
  return { narrow: { lowRank: null, sparse, bias }, zeros: { weights: zeros, bias } };
}

const nearly = (a: Float32Array, b: Float32Array) => {
  expect(a.length).toBe(b.length);
  const most = Math.max(...a.map(Math.abs));
  expect(Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? Number.NaN))))).toBeLessThan(1e-5 * (1 + most));
};

/** Rows of the weights that make the tensor. */
const made = ({ graph }: Model, name: string): number =>
  Number(
    graph.initializer.find((tensor) => tensor.name === graph.node.find((n) => n.output[0] === name)?.input[1])
      ?.dims[0] ?? -1,
  );

describe('channels that nobody reads', () => {
  it.each(Object.entries(TIED))('are not made where there is %s between', async (_, sketch) => {
    const { model, layers } = await prepared(sketch);
    expect(channelTies(model).map(({ producer, reader }) => [producer.name, reader.name])).toEqual([['a', 'b']]);
    const { narrow, zeros } = some(model, layerOf(layers, 'b'), KEPT);
    const rewritten = rewrite(model, new Map([['b', narrow]]));
    expect(rewritten.graph.node.map(({ opType }) => opType)).not.toContain('Gather');
    nearly(await outputOf(rewritten, sketch), await outputOf(rewrite(model, new Map([['b', zeros]])), sketch));
    const before = await listLayers(model, batchOf(sketch.input), { threads: 1 });
    const after = await listLayers(rewritten, batchOf(sketch.input), { threads: 1 });
    expect(after.parameters).toBeLessThan(0.6 * before.parameters);
    const own = after.layers.find(({ name }) => name.startsWith('a'));
    expect(own?.m).toBe(KEPT.length);
  });

  it.each(Object.entries(APART))('are made where there is %s', async (_, sketch) => {
    const { model, layers } = await prepared(sketch);
    expect(channelTies(model).filter(({ reader }) => reader.name === 'b')).toEqual([]);
    const { narrow, zeros } = some(model, layerOf(layers, 'b'), KEPT);
    const rewritten = rewrite(model, new Map([['b', narrow]]));
    nearly(await outputOf(rewritten, sketch), await outputOf(rewrite(model, new Map([['b', zeros]])), sketch));
  });

  it('are left out of factors, too, and all along a chain', async () => {
    const sketch: Sketch = {
      input: [3, 6, 6],
      nodes: [
        conv('x', 'p', 'a'),
        node('Relu', ['p'], 'q'),
        conv('q', 'r', 'b'),
        node('Relu', ['r'], 's'),
        conv('s', 'y', 'c'),
      ],
      tensors: [...weights('a', 8, 3), ...weights('b', 8, 8), ...weights('c', 4, 8)],
    };
    const { model, layers } = await prepared(sketch);
    const a = layerOf(layers, 'a');
    const { weights: q, bias } = denseWeights(model, a);
    const p = Float32Array.from({ length: 64 }, (_, i) => (i % 9 === 0 ? 1 : 0));
    const factored: Factors = {
      lowRank: { shape: 'channel', rank: 8, inner: 0, basis: null, p, q },
      sparse: null,
      bias,
    };
    const b = some(model, layerOf(layers, 'b'), KEPT);
    const c = some(model, layerOf(layers, 'c'), [0, 3, 4, 5]);
    const narrow = rewrite(
      model,
      new Map<string, Replacement>([
        ['a', factored],
        ['b', b.narrow],
        ['c', c.narrow],
      ]),
    );
    const whole = rewrite(
      model,
      new Map<string, Replacement>([
        ['a', factored],
        ['b', b.zeros],
        ['c', c.zeros],
      ]),
    );
    nearly(await outputOf(narrow, sketch), await outputOf(whole, sketch));
    expect(made(narrow, nameIn(narrow, 'p'))).toBe(KEPT.length);
    expect(made(narrow, nameIn(narrow, 'r'))).toBe(4);
    expect(nameIn(narrow, 'y')).toBe('y');
  });

  it('are made where the file has a tensor of the name already', async () => {
    const { input, tensors } = TIED['a rectifier'] ?? { input: [], tensors: [] };
    const sketch: Sketch = {
      input,
      tensors: [...tensors, ...weights('c', 4, 3)],
      nodes: [
        conv('x', 'p', 'a'),
        node('Relu', ['p'], 'q'),
        conv('q', 'r', 'b'),
        conv('x', 'q/narrow', 'c'),
        node('Add', ['r', 'q/narrow'], 'y'),
      ],
    };
    const { model, layers } = await prepared(sketch);
    const { narrow, zeros } = some(model, layerOf(layers, 'b'), KEPT);
    const rewritten = rewrite(model, new Map([['b', narrow]]));
    nearly(await outputOf(rewritten, sketch), await outputOf(rewrite(model, new Map([['b', zeros]])), sketch));
  });
});
