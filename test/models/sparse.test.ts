import { describe, expect, it } from 'vitest';
import {
  blocksOf,
  denseWeights,
  factoredCost,
  groupsOf,
  groupsTotal,
  PATTERN,
  listLayers,
  prepare,
  rewrite,
  Runner,
  SPARSE_PATTERNS,
  type Factors,
  type Layer,
  type Model,
  type SparsePart,
  type SparsePattern,
} from '../../src/models/index.js';
import { tensorFloats } from '../../src/models/ir/tensors.js';
import { dummyFactors } from '../../src/pipeline/latency/candidate-latency.js';
import { batchOf, build } from './graphs.js';
import { TOPOLOGIES } from './topologies.js';

async function output(model: Model, input: number[], count: number): Promise<Float32Array> {
  const runner = await Runner.open(model, { threads: 1 });
  try {
    return (await runner.run(batchOf(input, count))).get('y')?.data as Float32Array;
  } finally {
    await runner.release();
  }
}

const largest = (a: Float32Array, b: Float32Array) =>
  a.reduce((max, v, i) => Math.max(max, Math.abs(v - (b[i] ?? Number.NaN))), a.length === b.length ? 0 : Infinity);

/** Where S lies in W, [m, d] of 1 and 0, written down anew from what a pattern is. */
function support(layer: Layer, { pattern, kept, weights }: SparsePart): Float32Array {
  const { m, d, channels } = layer;
  const taps = d / channels;
  const block = blocksOf(layer);
  const inside = (row: number, column: number): boolean => {
    const channel = Math.floor(column / taps);
    if (pattern === 'channel') return kept.includes(channel);
    if (pattern === 'filter') return kept.includes(row);
    if (pattern === 'column') return kept.includes(column);
    if (pattern === 'block')
      return kept.includes(Math.floor(row / block.outputs) * block.columns + Math.floor(channel / block.inputs));
    return weights[row * d + column] !== 0;
  };
  return Float32Array.from({ length: m * d }, (_, i) => (inside(Math.floor(i / d), i % d) ? 1 : 0));
}

/** `dense` [m, d] in the layout of a part with the given support. */
function laidOut(layer: Layer, part: SparsePart, dense: Float32Array): SparsePart {
  const { m, d, channels } = layer;
  const width = part.pattern === 'channel' ? d / channels : 1;
  if (part.pattern === 'filter') {
    const rows = part.kept.map((row) => [...dense.subarray(row * d, (row + 1) * d)]);
    return { ...part, weights: Float32Array.from(rows.flat()) };
  }
  if (part.pattern !== 'channel' && part.pattern !== 'column') return { ...part, weights: dense };
  const rows = Array.from({ length: m }, (_, row) =>
    part.kept.flatMap((k) => [...dense.subarray(row * d + k * width, row * d + (k + 1) * width)]),
  );
  return { ...part, weights: Float32Array.from(rows.flat()) };
}

const half = (layer: Layer, pattern: SparsePattern): number => {
  const rows = pattern === 'block' ? blocksOf(layer).rows : 1;
  if (pattern === 'n:m') return groupsTotal(layer, pattern);
  return rows * Math.max(1, Math.floor(groupsTotal(layer, pattern) / rows / 2));
};

/** Its groups spread evenly. */
const evenPart = (layer: Layer, pattern: SparsePattern, groups: number): SparsePart => ({
  pattern,
  ...PATTERN[pattern].even(layer, groups, 0.01),
});

/** The layer as a sum: what the pattern takes, and the rest through a full-rank product. */
function sum(model: Model, layer: Layer, pattern: SparsePattern): Factors {
  const { weights, bias } = denseWeights(model, layer);
  const part = evenPart(layer, pattern, half(layer, pattern));
  const mask = support(layer, part);
  const p = new Float32Array(layer.m ** 2);
  for (let i = 0; i < layer.m; i++) p[i * layer.m + i] = pattern === 'filter' && part.kept.includes(i) ? 0 : 1;
  const q = weights.map((w, i) => (mask[i] === 1 ? 0 : w));
  return {
    lowRank: { shape: 'channel', inner: 0, basis: null, rank: layer.m, p, q },
    sparse: laidOut(
      layer,
      part,
      weights.map((w, i) => w * (mask[i] ?? NaN)),
    ),
    bias,
  };
}

async function listed(name: string, index = 0): Promise<{ model: Model; layer: Layer; input: number[] }> {
  const sketch = TOPOLOGIES[name];
  if (sketch === undefined) throw new Error('no such topology');
  const model = prepare(await build(sketch));
  const { layers } = await listLayers(model, batchOf(sketch.input, 2), { threads: 1 });
  const layer = layers[index];
  if (layer === undefined) throw new Error('a layer is expected');
  return { model, layer, input: sketch.input };
}

describe.each(SPARSE_PATTERNS)('%s', (pattern) => {
  it.each(Object.entries(TOPOLOGIES))('computes the same as a sum: %s', async (_, sketch) => {
    const model = prepare(await build(sketch));
    const { layers } = await listLayers(model, batchOf(sketch.input, 2), { threads: 1 });
    const changed = rewrite(model, new Map(layers.map((layer) => [layer.name, sum(model, layer, pattern)])));
    for (const count of [1, 4]) {
      const [a, b] = [await output(changed, sketch.input, count), await output(model, sketch.input, count)];
      expect(largest(a, b)).toBeLessThan(1e-4);
    }
  });

  it.each(Object.entries(TOPOLOGIES))('computes alone what the masked layer does: %s', async (_, sketch) => {
    const model = prepare(await build(sketch));
    const { layers } = await listLayers(model, batchOf(sketch.input, 2), { threads: 1 });
    const parts = layers.map((layer) => ({ layer, factors: { ...sum(model, layer, pattern), lowRank: null } }));
    const changed = rewrite(model, new Map(parts.map(({ layer, factors }) => [layer.name, factors])));
    const masked = parts.map(({ layer, factors: { sparse, bias } }) => {
      const mask =
        sparse === null ? new Float32Array() : support(layer, evenPart(layer, pattern, half(layer, pattern)));
      const { weights } = denseWeights(model, layer);
      return [layer.name, { weights: weights.map((w, i) => w * (mask[i] ?? NaN)), bias }] as const;
    });
    const expected = await output(rewrite(model, new Map(masked)), sketch.input, 3);
    expect(largest(await output(changed, sketch.input, 3), expected)).toBeLessThan(1e-4);
  });

  it.each([
    ['residual addition', 1],
    ['strided, dilated, asymmetric padding', 0],
    ['three axes, strided, dilated, asymmetric padding', 0],
    ['auto_pad SAME_LOWER', 0],
    ['Gemm without bias', 0],
    ['MatMul and Add on three dimensions', 0],
  ])('costs what is promised, alone and beside every low-rank shape: %s', async (name, index) => {
    const { model, layer, input } = await listed(name, index);
    const before = await listLayers(model, batchOf(input, 2), { threads: 1 });
    const groups = half(layer, pattern);
    const spatial = layer.kernel.length >= 2;
    for (const size of [
      { shape: 'channel', rank: 0, inner: 0 } as const,
      { shape: 'channel', rank: 3, inner: 0 } as const,
      ...(spatial
        ? [{ shape: 'tucker', rank: 3, inner: 2 } as const, { shape: 'spatial', rank: 3, inner: 0 } as const]
        : []),
    ]) {
      // Alone it makes the layer before it smaller, too (narrow.test.ts).
      if (size.rank === 0 && pattern === 'channel' && layer.narrows !== undefined) continue;
      const cost = factoredCost(layer, { ...size, groups, pattern });
      const factors = dummyFactors(layer, { ...size, groups, pattern });
      const changed = rewrite(model, new Map([[layer.name, factors]]));
      const after = await listLayers(changed, batchOf(input, 2), { threads: 1 });
      expect(after.parameters - before.parameters + layer.parameters).toBe(cost.parameters);
      expect(after.macs - before.macs + layer.macs).toBe(cost.macs);
      // The values of the new tensors are all but the pattern's zeros different from zero.
      const old = new Set(model.graph.initializer.map((tensor) => tensor.name));
      let nonzeros = 0;
      for (const tensor of changed.graph.initializer) {
        if (old.has(tensor.name) || tensor.dataType !== 1) continue;
        nonzeros += tensorFloats(tensor, model.directory).filter((v) => v !== 0).length;
      }
      expect(nonzeros).toBe(cost.nonzeros);
      expect(cost.nonzeros).toBeLessThanOrEqual(cost.parameters);
      if (factors.sparse !== null) expect(groupsOf(factors.sparse, layer.m)).toBe(groups);
    }
  });
});

it('a block has at least two others beside it each way, and divides the layer', async () => {
  const { layer } = await listed('residual addition');
  expect(blocksOf({ m: 64, channels: 64 })).toEqual({ outputs: 32, inputs: 8, rows: 2, columns: 8 });
  expect(blocksOf({ m: 32, channels: 8 })).toEqual({ outputs: 16, inputs: 4, rows: 2, columns: 2 });
  expect(blocksOf({ m: 7, channels: 3 })).toEqual({ outputs: 1, inputs: 1, rows: 7, columns: 3 });
  expect(groupsTotal(layer, 'block')).toBe(4);
});

it('kept groups out of order or of uneven blocks are refused', async () => {
  const { model, layer } = await listed('residual addition');
  const part = (pattern: SparsePattern, kept: number[], length: number): Factors => ({
    lowRank: null,
    sparse: { pattern, kept, weights: new Float32Array(length) },
    bias: new Float32Array(layer.m),
  });
  const replace = (factors: Factors) => () => rewrite(model, new Map([[layer.name, factors]]));
  expect(replace(part('filter', [3, 1], 144))).toThrow(/kept filters must ascend/);
  expect(replace(part('column', [72], 8))).toThrow(/kept columns must ascend within 0 to 71/);
  expect(replace(part('block', [0, 1], 576))).toThrow(/every block of outputs keeps as many blocks/);
  expect(replace(part('n:m', [], 12))).toThrow(/sparse weights has 12 values/);
});
