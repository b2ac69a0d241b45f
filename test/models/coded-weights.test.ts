import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  codeWeights,
  inputsOfLayers,
  listLayers,
  loadModel,
  prepare,
  Runner,
  saveModel,
  type Model,
  type WeightCoding,
} from '../../src/models/index.js';
import { makeInts } from '../../src/models/ir/attributes.js';
import { seededRandom } from '../../src/pipeline/network/random.js';
import { batchOf, build, LIMITS, node, scratch, tensorOf, type Sketch } from './graphs.js';
import { TOPOLOGIES } from './topologies.js';

const CODINGS: WeightCoding[] = [
  { coding: 'float16', bits: 4 },
  { coding: 'int8', bits: 4 },
  { coding: 'codebook', bits: 2 },
  { coding: 'codebook', bits: 3 },
  { coding: 'codebook', bits: 4 },
  { coding: 'codebook', bits: 8 },
];
/** What the outputs may differ by, of their largest, with weights that are uniform noise. */
const BOUND = { float16: 2e-3, int8: 2e-2, codebook: { 8: 0.05, 4: 0.25, 3: 0.5, 2: 0.8 } };
const boundOf = ({ coding, bits }: WeightCoding): number => {
  if (coding === 'codebook') return BOUND.codebook[bits];
  return coding === 'float16' ? BOUND.float16 : BOUND.int8;
};

const code = (model: Model, coding: WeightCoding) =>
  codeWeights(model, coding, { energies: new Map(), random: (tensor) => seededRandom(1, tensor) });

async function output(model: Model, input: number[], count: number): Promise<Float32Array> {
  const runner = await Runner.open(model, { threads: 1 });
  try {
    return (await runner.run(batchOf(input, count))).get('y')?.data as Float32Array;
  } finally {
    await runner.release();
  }
}

/** Largest difference over the largest value. */
function difference(a: Float32Array, b: Float32Array): number {
  expect(b.length).toBe(a.length);
  const largest = a.reduce((max, v) => Math.max(max, Math.abs(v)), 0);
  return a.reduce((max, v, i) => Math.max(max, Math.abs(v - (b[i] ?? NaN))), 0) / largest;
}

/** Large enough for a codebook of 256 entries. */
const LARGE: Sketch = {
  input: [32, 5, 5],
  tensors: [
    tensorOf('w1', [32, 32, 3, 3], 3),
    tensorOf('b1', [32]),
    tensorOf('w2', [32, 4, 3, 3], 4),
    tensorOf('w3', [32, 64, 2, 2], 5),
    tensorOf('w4', [64, 70], 6),
    tensorOf('b4', [70]),
  ],
  nodes: [
    node('Conv', ['x', 'w1', 'b1'], 'a', [makeInts('pads', [1, 1, 1, 1])], 'plain'),
    node('Conv', ['a', 'w2'], 'b', [{ name: 'group', type: 2, i: 8 }], 'grouped'),
    node('ConvTranspose', ['b', 'w3'], 'c', [], 'transposed'),
    node('GlobalAveragePool', ['c'], 'd'),
    node('Flatten', ['d'], 'e'),
    node('MatMul', ['e', 'w4'], 'f', [], 'product'),
    node('Add', ['f', 'b4'], 'y'),
  ],
};

const ALL = Object.entries({ ...TOPOLOGIES, 'grouped, transposed, and large enough for a codebook': LARGE });

describe.each(CODINGS)('weights as $coding, $bits bits', (coding) => {
  it.each(ALL)('compute the same within their bound, at any batch: %s', async (_, sketch) => {
    const model = prepare(await build(sketch));
    const coded = code(model, coding);
    for (const count of [1, 3]) {
      const [before, after] = [await output(model, sketch.input, count), await output(coded, sketch.input, count)];
      expect(difference(before, after)).toBeLessThan(boundOf(coding));
    }
  });

  it('count as the same parameters and MACs, in the file too; only those that are floats can be compressed again', async () => {
    const model = prepare(await build(LARGE));
    const path = join(scratch(), 'coded.onnx');
    await saveModel(code(model, coding), path);
    const read = await loadModel(path, { directory: scratch(), limits: LIMITS });
    const probe = batchOf(LARGE.input, 2);
    const [before, after] = [
      await listLayers(model, probe, { threads: 1 }),
      await listLayers(prepare(read), probe, { threads: 1 }),
    ];
    expect(after.parameters).toBe(before.parameters);
    expect(after.macs).toBe(before.macs);
    const blocked = ({ layers }: typeof before) => layers.map((layer) => layer.blocked);
    if (coding.coding === 'float16') expect(blocked(after)).toEqual(blocked(before));
    else expect(blocked(after)).not.toContain(null);
  });

  it('take the bytes that they should', async () => {
    const model = prepare(await build(LARGE));
    const size = (of: Model) => of.graph.initializer.reduce((sum, { rawData }) => sum + (rawData?.length ?? 0), 0);
    const weights = 32 * 32 * 9 + 32 * 4 * 9 + 32 * 64 * 4 + 64 * 70;
    const biases = 4 * (32 + 70);
    const plain = { float16: 2 * weights + biases, int8: weights + 4 * (32 + 32 + 64 + 70) + biases };
    if (coding.coding !== 'codebook') {
      expect(size(code(model, coding))).toBe(plain[coding.coding as keyof typeof plain]);
      return;
    }
    const counts = [32 * 32 * 9, 32 * 4 * 9, 32 * 64 * 4, 64 * 70];
    const width = (count: number) => ({ 8: 1, 4: 2, 3: count % 3 === 0 ? 3 : 2, 2: 4 })[coding.bits];
    const indices = counts.reduce((sum, count) => sum + count / width(count), 0);
    // The first and the third have a table of their own where they have 8,192 vectors; the others share one for each width. Halves.
    const own = counts.filter((count) => count / width(count) >= 8192).map(width);
    const shared = new Set(counts.filter((count) => count / width(count) < 8192).map(width));
    const tables = [...own, ...shared].reduce((sum, entries) => sum + 2 * 256 * entries, 0);
    // 32 are too few for halves; a row of w2 has 36 weights, for which a scale may be too much; shapes take 8 bytes for a size.
    const small = coding.bits === 8 || coding.bits === 4 ? 4 * 32 : 4;
    expect(size(code(model, coding))).toBe(indices + tables + 4 * 32 + small + 2 * (64 + 70) + biases + 8 * 14);
  });

  it('are the same for the same seed', async () => {
    const model = prepare(await build(LARGE));
    const [a, b] = [code(model, coding), code(model, coding)];
    expect(a.graph.initializer).toEqual(b.graph.initializer);
  });
});

describe('coded weights', () => {
  it('of float32 are the model itself', async () => {
    const model = prepare(await build(LARGE));
    expect(code(model, { coding: 'float32', bits: 4 })).toBe(model);
  });

  it('leave few weights, and weights too large for float16, as they are', async () => {
    const sketch = {
      ...LARGE,
      tensors: LARGE.tensors.map((tensor) => (tensor.name === 'w4' ? tensorOf('w4', [64, 70], 6) : tensor)),
    };
    const [w4] = sketch.tensors.filter(({ name }) => name === 'w4');
    if (w4?.rawData === undefined) throw new Error('no data');
    new Float32Array(w4.rawData.buffer, w4.rawData.byteOffset, 1)[0] = 1e5;
    const coded = code(prepare(await build(sketch)), { coding: 'float16', bits: 4 });
    expect(coded.graph.initializer.filter(({ dataType }) => dataType === 10)).toHaveLength(3);
    const small = TOPOLOGIES['shared input and concatenation'];
    if (small === undefined) throw new Error('no such network');
    const model = prepare(await build(small));
    // 24 and 216 weights
    expect(code(model, { coding: 'int8', bits: 4 }).graph.node).toHaveLength(model.graph.node.length);
  });

  it('that several layers share are stored once', async () => {
    const w = tensorOf('w', [16, 16, 3, 3]);
    const pads = [makeInts('pads', [1, 1, 1, 1])];
    const nodes = [node('Conv', ['x', 'w'], 'a', pads, 'one'), node('Conv', ['a', 'w'], 'y', pads, 'two')];
    const model = prepare(await build({ input: [16, 4, 4], tensors: [w], nodes }));
    const coded = code(model, { coding: 'int8', bits: 4 });
    expect(coded.graph.initializer).toHaveLength(2);
    expect(difference(await output(model, [16, 4, 4], 2), await output(coded, [16, 4, 4], 2))).toBeLessThan(0.02);
  });

  it('spend their precision on the inputs that carry energy', async () => {
    const sketch = { input: [64], tensors: [tensorOf('w', [256, 64])], nodes: [] as Sketch['nodes'] };
    sketch.nodes = [node('Gemm', ['x', 'w'], 'y', [{ name: 'transB', type: 2, i: 1 }], 'fc')];
    const model = prepare(await build(sketch));
    expect([...inputsOfLayers(model)]).toEqual([['x', 1]]);
    const energy = Float32Array.from({ length: 64 }, (_, i) => (i < 8 ? 100 : 0.01));
    const loss = async (energies: Map<string, Float32Array>) => {
      const random = () => seededRandom(1);
      const coded = codeWeights(model, { coding: 'codebook', bits: 4 }, { energies, random });
      const input = { dims: [1, 64], data: Float32Array.from(energy, (e, i) => (i % 2 === 0 ? 1 : -1) * Math.sqrt(e)) };
      const run = async (of: Model) => {
        const runner = await Runner.open(of, { threads: 1 });
        const result = (await runner.run(input)).get('y')?.data as Float32Array;
        await runner.release();
        return result;
      };
      const [a, b] = [await run(model), await run(coded)];
      return a.reduce((sum, v, i) => sum + (v - (b[i] ?? NaN)) ** 2, 0);
    };
    expect(await loss(new Map([['x', energy]]))).toBeLessThan(0.7 * (await loss(new Map())));
  });
});
