import { describe, expect, it } from 'vitest';
import { makeInt, makeInts, makeString } from '../../src/models/ir/attributes.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import type { AttributeProto } from '../../src/models/ir/messages.js';
import {
  denseWeights,
  factoredCost,
  groupsTotal,
  listLayers,
  prepare,
  rewrite,
  Runner,
  samplePatches,
  shapesOf,
  SPARSE_PATTERNS,
  type Factors,
  type Layer,
  type LowRank,
  type LowRankShape,
  type Model,
} from '../../src/models/index.js';
import { dummyFactors } from '../../src/pipeline/latency/candidate-latency.js';
import { withForm } from '../../src/pipeline/files/layer-rows.js';
import { batchOf, build, node, tensorOf, type Sketch } from './graphs.js';

const transposed = (input: number[], weights: number[], attribute: AttributeProto[]): Sketch => ({
  input,
  tensors: [tensorOf('w', weights), tensorOf('b', [weights[1] ?? 0])],
  nodes: [node('ConvTranspose', ['x', 'w', 'b'], 'y', attribute, 'up')],
});
const strides = (...s: number[]) => makeInts('strides', s);
const pads = (...p: number[]) => makeInts('pads', p);

const GEOMETRIES: [string, Sketch][] = Object.entries({
  'as large as its stride': transposed([6, 4, 5], [6, 5, 2, 2], [strides(2, 2)]),
  'that overlaps, padded, with more at the end': transposed(
    [6, 4, 5],
    [6, 5, 3, 3],
    [strides(2, 2), pads(1, 1, 1, 1), makeInts('output_padding', [1, 1])],
  ),
  'of two strides and sides, padded on one side': transposed(
    [6, 4, 5],
    [6, 5, 4, 3],
    [strides(3, 2), pads(0, 1, 2, 0), makeInts('output_padding', [2, 0])],
  ),
  'with gaps between its taps': transposed([6, 4, 4], [6, 5, 3, 2], [strides(2, 1), makeInts('dilations', [2, 3])]),
  'smaller than its stride': transposed([6, 4, 4], [6, 5, 2, 2], [strides(3, 3)]),
  'of stride 1': transposed([6, 4, 4], [6, 5, 3, 3], [pads(1, 1, 1, 1)]),
  'over time': transposed([6, 7], [6, 5, 5], [strides(3), pads(1, 2), makeInts('output_padding', [2])]),
  'of a volume': transposed(
    [6, 2, 3, 4],
    [6, 5, 3, 2, 4],
    [strides(2, 1, 3), pads(1, 0, 0, 0, 1, 2), makeInts('output_padding', [1, 0, 0])],
  ),
  'auto_pad SAME_UPPER': transposed([6, 4, 5], [6, 5, 3, 3], [strides(2, 2), makeString('auto_pad', 'SAME_UPPER')]),
  'auto_pad SAME_LOWER': transposed([6, 4, 5], [6, 5, 3, 3], [strides(2, 2), makeString('auto_pad', 'SAME_LOWER')]),
  'auto_pad VALID': transposed([6, 4, 5], [6, 5, 3, 3], [strides(2, 2), makeString('auto_pad', 'VALID')]),
  'to a given size': transposed([6, 4, 5], [6, 5, 3, 3], [strides(2, 2), makeInts('output_shape', [8, 10])]),
});

async function listed(sketch: Sketch): Promise<{ model: Model; layer: Layer; parameters: number; macs: number }> {
  const model = prepare(await build(sketch));
  const { layers, parameters, macs } = await listLayers(model, batchOf(sketch.input, 2), { threads: 1 });
  const layer = layers.find(({ transposed: own }) => own !== undefined);
  if (layer === undefined) throw new Error('a transposed convolution is expected');
  return { model, layer, parameters, macs };
}

async function output(model: Model, input: number[]): Promise<{ dims: readonly number[]; data: Float32Array }> {
  const runner = await Runner.open(model, { threads: 1 });
  try {
    const value = (await runner.run(batchOf(input))).get('y');
    if (value === undefined) throw new Error('no output');
    return { dims: value.dims, data: Float32Array.from(value.data, Number) };
  } finally {
    await runner.release();
  }
}

const identity = (n: number): Float32Array =>
  Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));

/** The layer itself as a low-rank part: what is not narrowed is left as it is. */
function whole(shape: LowRankShape, { m, d, channels, kernel }: Layer, weights: Float32Array): LowRank {
  const [kh = 1] = kernel;
  switch (shape) {
    case 'channel':
      return { shape, rank: m, inner: 0, basis: null, q: weights, p: identity(m) };
    case 'pointwise':
      return { shape, rank: channels, inner: 0, basis: null, q: identity(channels), p: weights };
    case 'tucker':
      return { shape, rank: m, inner: channels, basis: identity(channels), q: weights, p: identity(m) };
    case 'spatial':
      return { shape, rank: channels * kh, inner: 0, basis: null, q: identity(channels * kh), p: weights };
  }
  throw new Error(`${String(shape)} of ${String(d)}`);
}

describe('a transposed convolution', () => {
  it.each(GEOMETRIES)('is a linear map of its patches: %s', async (_, sketch) => {
    const { model, layer } = await listed(sketch);
    expect(layer.blocked).toBeNull();
    const { dims, data } = await output(model, sketch.input);
    expect(layer.positions).toBe(dims.slice(2).reduce((a, b) => a * b, 1));
    const { weights, bias } = denseWeights(model, layer);
    const positions = Array.from({ length: 3 * layer.positions }, (_, i) => i);
    const chosen = {
      images: positions.map((i) => Math.floor(i / layer.positions)),
      positions: positions.map((i) => i % layer.positions),
    };
    const patches = samplePatches(batchOf(sketch.input), layer, chosen);
    let looked = 0;
    for (const [row, image] of chosen.images.entries())
      for (let o = 0; o < layer.m; o++) {
        let sum = bias[o];
        for (let i = 0; i < layer.d; i++) sum += weights[o * layer.d + i] * patches[row * layer.d + i];
        const at = (image * layer.m + o) * layer.positions + (chosen.positions[row] ?? 0);
        expect(sum).toBeCloseTo(data[at] ?? Number.NaN, 4);
        looked += 1;
      }
    expect(looked).toBe(data.length);
  });

  it.each(GEOMETRIES)('computes the same as each shape that leaves nothing out: %s', async (_, sketch) => {
    const { model, layer } = await listed(sketch);
    const { weights, bias } = denseWeights(model, layer);
    const before = await output(model, sketch.input);
    const shapes = shapesOf(layer);
    expect(shapes).toContain('pointwise');
    expect(shapes.includes('spatial')).toBe(layer.kernel.length >= 2 && layer.transposed === 'padded');
    for (const shape of shapes) {
      const factors: Factors = { lowRank: whole(shape, layer, weights), sparse: null, bias: Float32Array.from(bias) };
      const after = await output(rewrite(model, new Map([[layer.name, factors]])), sketch.input);
      expect(after.dims).toEqual(before.dims);
      after.data.forEach((value, i) => expect(value).toBeCloseTo(before.data[i] ?? Number.NaN, 4));
    }
    const dense = await output(rewrite(model, new Map([[layer.name, { weights, bias }]])), sketch.input);
    dense.data.forEach((value, i) => expect(value).toBeCloseTo(before.data[i] ?? Number.NaN, 4));
  });

  it.each(GEOMETRIES)('costs what is promised in every form: %s', async (_, sketch) => {
    const { model, layer, macs } = await listed(sketch);
    const [, m = 0, ...kernel] = (sketch.tensors[0]?.dims ?? []).map(Number);
    const places = sketch.input.slice(1).reduce((a, b) => a * b, 1);
    expect(macs).toBe(places * 6 * m * kernel.reduce((a, b) => a * b, 1));
    const forms = [
      ...shapesOf(layer).map((shape) => ({ shape, rank: 3, inner: shape === 'tucker' ? 2 : 0, groups: 0 })),
      ...SPARSE_PATTERNS.flatMap((pattern) => {
        const [fits] = withForm([layer], pattern);
        const groups = pattern === 'n:m' ? groupsTotal(layer, pattern) : 2;
        return fits?.blocked === null ? [{ shape: 'channel' as const, rank: 3, inner: 0, groups, pattern }] : [];
      }),
    ];
    expect(forms.length).toBeGreaterThan(5);
    for (const size of forms) {
      const changed = rewrite(model, new Map([[layer.name, dummyFactors(layer, size)]]));
      const after = await listLayers(changed, batchOf(sketch.input, 2), { threads: 1 });
      expect(factoredCost(layer, size), JSON.stringify(size)).toMatchObject({
        parameters: after.parameters,
        macs: after.macs,
      });
    }
  });

  it('is more work where its outputs overlap, whatever the shape', async () => {
    const workOf = async (kernel: number, size: { shape: LowRankShape; rank: number }) => {
      const sketch = transposed([32, 8, 8], [32, 16, kernel, kernel], [strides(2, 2)]);
      const { layer } = await listed(sketch);
      const { work, once, macs } = factoredCost(layer, { ...size, inner: 0, groups: 0 });
      return { each: work - once, macs };
    };
    for (const shape of ['channel', 'pointwise'] as const) {
      const [apart, over] = [await workOf(2, { shape, rank: 16 }), await workOf(4, { shape, rank: 16 })];
      // All channels fill blocks: what is more than the products is for feature maps and overlaps.
      expect(over.each - over.macs).toBeGreaterThan(1.5 * (apart.each - apart.macs));
    }
  });

  it('has the normalization behind it folded, and the activation behind that', async () => {
    const sketch: Sketch = {
      input: [6, 4, 4],
      tensors: [
        tensorOf('w', [6, 5, 2, 2]),
        ...['gamma', 'beta', 'mean'].map((name) => tensorOf(name, [5])),
        floatTensor('variance', [5], Float32Array.of(1, 2, 0.5, 1, 3)),
      ],
      nodes: [
        node('ConvTranspose', ['x', 'w'], 'c', [strides(2, 2)], 'up'),
        node('BatchNormalization', ['c', 'gamma', 'beta', 'mean', 'variance'], 'n'),
        node('Relu', ['n'], 'y'),
      ],
    };
    const { model, layer, parameters } = await listed(sketch);
    expect(layer).toMatchObject({ activation: { kind: 'relu' }, hasBias: true });
    expect(parameters).toBe(6 * 5 * 4 + 5);
    expect(model.graph.node.map(({ opType }) => opType)).toEqual(['ConvTranspose', 'Relu']);
    const before = await output(await build(sketch), sketch.input);
    (await output(model, sketch.input)).data.forEach((value, i) =>
      expect(value).toBeCloseTo(before.data[i] ?? Number.NaN, 4),
    );
  });

  it('in groups stays dense with the reason, and so does one for a pattern that has no form', async () => {
    const grouped = await listed({
      input: [6, 4, 4],
      tensors: [tensorOf('w', [6, 5, 2, 2])],
      nodes: [node('ConvTranspose', ['x', 'w'], 'y', [strides(2, 2), makeInt('group', 2)], 'up')],
    });
    expect(grouped.layer.blocked).toBe('grouped transposed convolution (2 groups)');
    const { layer } = await listed(transposed([6, 4, 4], [6, 5, 2, 2], [strides(2, 2)]));
    for (const pattern of SPARSE_PATTERNS) {
      const [own] = withForm([layer], pattern);
      const none = pattern === 'column' || pattern === 'block';
      expect(own?.blocked ?? null).toBe(
        none ? `a transposed convolution has no form for the pattern ${pattern}` : null,
      );
    }
  });
});
