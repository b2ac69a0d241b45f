import { describe, expect, it } from 'vitest';
import {
  Runner,
  denseWeights,
  factoredCost,
  LOW_RANK_SHAPES,
  lowRankShapes,
  listLayers,
  prepare,
  rewrite,
  shapesOf,
  type Factors,
  type Layer,
  type Model,
  type Replacement,
} from '../../src/models/index.js';
import { dummyFactors } from '../../src/pipeline/latency/candidate-latency.js';
import { batchOf, build } from './graphs.js';
import { TOPOLOGIES } from './topologies.js';

const CHANNEL = { shape: 'channel', inner: 0, basis: null } as const;

const largest = (a: Float32Array, b: Float32Array) =>
  a.reduce((max, v, i) => Math.max(max, Math.abs(v - (b[i] ?? Number.NaN))), a.length === b.length ? 0 : Infinity);

async function output(model: Model, input: number[], count: number): Promise<Float32Array> {
  const runner = await Runner.open(model, { threads: 1 });
  try {
    return (await runner.run(batchOf(input, count))).get('y')?.data as Float32Array;
  } finally {
    await runner.release();
  }
}

/** Exactly the layer again: P = I, Q = W. */
function fullRank(model: Model, layer: Layer): Factors {
  const { weights, bias } = denseWeights(model, layer);
  const p = new Float32Array(layer.m ** 2);
  for (let i = 0; i < layer.m; i++) p[i * layer.m + i] = 1;
  return { lowRank: { ...CHANNEL, rank: layer.m, p, q: weights }, sparse: null, bias };
}

const identity = (n: number) => Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));

/** Exactly the layer again behind a first convolution that keeps every channel. */
function tucker(model: Model, layer: Layer): Factors {
  const copy = fullRank(model, layer);
  const { channels } = layer;
  const part = { shape: 'tucker' as const, inner: channels, basis: identity(channels) };
  if (!shapesOf(layer).includes('tucker')) return copy;
  return { ...copy, lowRank: copy.lowRank && { ...copy.lowRank, ...part } };
}

/** Exactly the layer again: the first convolution hands on every row of the kernel. */
function spatial(model: Model, layer: Layer): Factors {
  if (!shapesOf(layer).includes('spatial')) return fullRank(model, layer);
  const { weights, bias } = denseWeights(model, layer);
  const rank = layer.channels * (layer.kernel[0] ?? 1);
  const lowRank = { shape: 'spatial' as const, rank, inner: 0, basis: null, q: identity(rank), p: weights };
  return { lowRank, sparse: null, bias };
}

function columns(layer: Layer, weights: Float32Array, channels: number[]): Float32Array {
  const taps = layer.d / layer.channels;
  const result = new Float32Array(layer.m * channels.length * taps);
  for (let row = 0; row < layer.m; row++) {
    channels.forEach((c, i) => {
      result.set(
        weights.subarray(row * layer.d + c * taps, row * layer.d + (c + 1) * taps),
        (row * channels.length + i) * taps,
      );
    });
  }
  return result;
}

/** The layer again as a sum: the even input channels sparse, the others through a full-rank product. */
function split(model: Model, layer: Layer): Factors {
  const { weights, bias } = denseWeights(model, layer);
  const even = Array.from({ length: layer.channels }, (_, c) => c).filter((c) => c % 2 === 0);
  const taps = layer.d / layer.channels;
  const rest = weights.map((w, i) => (Math.floor((i % layer.d) / taps) % 2 === 0 ? 0 : w));
  const low = fullRank(model, layer);
  return {
    lowRank: low.lowRank && { ...low.lowRank, q: rest },
    sparse: { pattern: 'channel', kept: even, weights: columns(layer, weights, even) },
    bias,
  };
}

function allSparse(model: Model, layer: Layer): Factors {
  const { weights, bias } = denseWeights(model, layer);
  return {
    lowRank: null,
    sparse: { pattern: 'channel', kept: Array.from({ length: layer.channels }, (_, c) => c), weights },
    bias,
  };
}

const WAYS: Record<string, (model: Model, layer: Layer) => Replacement> = {
  'low rank': fullRank,
  tucker,
  spatial,
  'sparse and low rank': split,
  'sparse with every channel': allSparse,
  dense: denseWeights,
};

describe.each(Object.entries(TOPOLOGIES))('%s', (_, sketch) => {
  it('computes the same after preparation', async () => {
    const model = await build(sketch);
    expect(largest(await output(prepare(model), sketch.input, 3), await output(model, sketch.input, 3))).toBeLessThan(
      1e-5,
    );
  });

  it.each(Object.entries(WAYS))(
    'computes the same when every layer is replaced by an exact %s copy',
    async (way, replace) => {
      const model = prepare(await build(sketch));
      const { layers } = await listLayers(model, batchOf(sketch.input, 2), { threads: 1 });
      expect(layers.length).toBeGreaterThan(0);
      expect(layers.map(({ blocked }) => blocked)).toEqual(layers.map(() => null));
      const changed = rewrite(model, new Map(layers.map((layer) => [layer.name, replace(model, layer)])));
      if (way !== 'dense') expect(changed.graph.node.length).toBeGreaterThanOrEqual(model.graph.node.length);
      for (const count of [1, 4]) {
        expect(
          largest(await output(changed, sketch.input, count), await output(model, sketch.input, count)),
        ).toBeLessThan(1e-4);
      }
    },
  );
});

describe('a rewritten model', () => {
  const sketch = TOPOLOGIES['residual addition'];

  it('drops the weights it no longer uses, keeps the others by reference, and leaves the source as it was', async () => {
    if (sketch === undefined) throw new Error('no such topology');
    const model = prepare(await build(sketch));
    const before = model.graph.initializer.map(({ name }) => name);
    const { layers } = await listLayers(model, batchOf(sketch.input, 2), { threads: 1 });
    const [first, second] = layers;
    if (first === undefined || second === undefined) throw new Error('two layers are expected');
    const changed = rewrite(model, new Map([[first.name, split(model, first)]]));
    expect(model.graph.initializer.map(({ name }) => name)).toEqual(before);
    expect(changed.graph.initializer.some(({ name }) => name === 'w1')).toBe(false);
    const kept = (m: Model) => m.graph.initializer.find(({ name }) => name === 'w2')?.rawData;
    expect(kept(changed)).toBe(kept(model));
    const names = changed.graph.node.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it('has the parameters and multiplications that the cost formula promises', async () => {
    if (sketch === undefined) throw new Error('no such topology');
    const model = prepare(await build(sketch));
    const { layers } = await listLayers(model, batchOf(sketch.input, 2), { threads: 1 });
    const [first] = layers;
    if (first === undefined) throw new Error('a layer is expected');
    const rank = 3;
    const channels = [1, 4];
    const taps = 9;
    const factors: Factors = {
      lowRank: { ...CHANNEL, rank, p: new Float32Array(8 * rank), q: new Float32Array(rank * 72) },
      sparse: { pattern: 'channel', kept: channels, weights: new Float32Array(8 * 2 * taps) },
      bias: new Float32Array(8),
    };
    const changed = rewrite(model, new Map([[first.name, factors]]));
    const after = await listLayers(changed, batchOf(sketch.input, 2), { threads: 1 });
    const others = 8 * 72;
    expect(after.parameters - others).toBe(rank * (8 + 72) + 2 * taps * 8 + 8);
    expect(after.macs - others * 36).toBe((rank * (8 + 72) + 2 * taps * 8) * 36);
  });

  it.each(lowRankShapes)('costs what is promised as %s', async (shape) => {
    const volume = 'three axes, strided, dilated, asymmetric padding';
    for (const name of ['strided, dilated, asymmetric padding', 'auto_pad VALID', 'auto_pad SAME_LOWER', volume]) {
      const other = TOPOLOGIES[name];
      if (other === undefined) throw new Error('no such topology');
      const model = prepare(await build(other));
      const { layers } = await listLayers(model, batchOf(other.input, 2), { threads: 1 });
      const [first] = layers;
      if (first === undefined) throw new Error('a layer is expected');
      const size = { shape, rank: 3, inner: LOW_RANK_SHAPES[shape].narrows === 'both' ? 2 : 0, groups: 1 };
      const changed = rewrite(model, new Map([[first.name, dummyFactors(first, size)]]));
      const after = await listLayers(changed, batchOf(other.input, 2), { threads: 1 });
      expect(factoredCost(first, size)).toMatchObject({ parameters: after.parameters, macs: after.macs });
    }
  });

  it('refuses factors of the wrong size and layers that do not exist', async () => {
    if (sketch === undefined) throw new Error('no such topology');
    const model = prepare(await build(sketch));
    const wrong: Factors = {
      lowRank: { ...CHANNEL, rank: 2, p: new Float32Array(3), q: new Float32Array(144) },
      sparse: null,
      bias: new Float32Array(8),
    };
    expect(() => rewrite(model, new Map([['first', wrong]]))).toThrow(/first: p has 3 values instead of 16/);
    expect(() => rewrite(model, new Map([['nobody', wrong]]))).toThrow(/nobody/);
    const descending: Factors = {
      lowRank: null,
      sparse: { pattern: 'channel', kept: [4, 1], weights: new Float32Array(144) },
      bias: new Float32Array(8),
    };
    expect(() => rewrite(model, new Map([['first', descending]]))).toThrow(/ascend/);
  });
});
