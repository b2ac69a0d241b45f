import { describe, expect, it } from 'vitest';
import {
  codedBytes,
  codesOfWeights,
  CODING_NOISE,
  decoded,
  loadModel,
  prepare,
  Runner,
  saveModel,
  WEIGHT_BITS,
  withCodes,
  type WeightBits,
} from '../../src/models/index.js';
import { nearestVectors } from '../../src/models/coding/kmeans.js';
import { vectorWidth, weightCodes, type WeightsToCode } from '../../src/models/coding/weight-code.js';
import { makeInts } from '../../src/models/ir/attributes.js';
import { seededRandom } from '../../src/pipeline/network/random.js';
import { batchOf, build, LIMITS, node, noise, scratch, tensorOf } from './graphs.js';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

const random = (table: number) => seededRandom(1, table);

/** Normal by a sum of uniform numbers. */
const normal = (count: number, seed: number): Float32Array => {
  const parts = [1, 2, 3, 4, 5, 6].map((k) => noise(count, seed + 100 * k));
  return Float32Array.from({ length: count }, (_, i) => parts.reduce((sum, part) => sum + (part[i] ?? 0), 0));
};

function tensor(weight: string, rows: number, columns: number, bits: WeightBits): WeightsToCode {
  const values = normal(rows * columns, rows + columns).map((v, i) => v * 10 ** ((Math.floor(i / columns) % 5) - 2));
  return {
    ...{ weight, dims: [rows, columns], values, bits, importance: new Float32Array(values.length).fill(1) },
    layout: { rows, rowStride: columns, inputs: columns, inputStride: 1, groups: 1, rowAxis: 0 },
  };
}

const noiseOf = (values: Float32Array, coded: Float32Array): number => {
  const squares = (of: (i: number) => number) => values.reduce((sum, _, i) => sum + of(i) ** 2, 0);
  return squares((i) => (values[i] ?? NaN) - (coded[i] ?? NaN)) / squares((i) => values[i] ?? NaN);
};

describe('weights in tables', () => {
  it.each(WEIGHT_BITS)('of %i bits lose about what a plan counts with, whatever the sizes of their rows', (bits) => {
    const one = tensor('w', 96, 192, bits);
    const [code] = weightCodes([one], random);
    if (code === undefined) throw new Error('no code');
    const lost = noiseOf(one.values, decoded(code));
    expect(lost).toBeGreaterThan(CODING_NOISE[bits] / 3);
    expect(lost).toBeLessThan(CODING_NOISE[bits] * 2);
  });

  it('have fewer neighbours to an index where their number cannot be divided', () => {
    expect([2, 3, 4, 8].map((bits) => vectorWidth(12, bits as WeightBits))).toEqual([4, 3, 2, 1]);
    expect(vectorWidth(10, 3)).toBe(2);
    expect(vectorWidth(9, 2)).toBe(3);
    expect(vectorWidth(7, 2)).toBe(1);
  });

  it('share a table where they are few, and have one of their own where they are many', () => {
    const codes = weightCodes(
      [tensor('a', 32, 64, 4), tensor('b', 128, 192, 4), tensor('c', 16, 96, 4), tensor('d', 32, 63, 3)],
      random,
    );
    const [a, b, c, d] = codes.map(({ table }) => table);
    expect(codes.map(({ weight }) => weight)).toEqual(['a', 'b', 'c', 'd']);
    expect(a).toBe(c);
    expect(b).not.toBe(a);
    expect(d).not.toBe(a);
    expect(a).not.toBeNull();
  });

  it('are integers where no table is worth it', () => {
    const one = tensor('w', 8, 40, 4);
    const [code] = weightCodes([one], random);
    expect(code?.table).toBeNull();
    if (code !== undefined) expect(noiseOf(one.values, decoded(code))).toBeLessThan(1e-3);
  });

  it('of zeros are zeros', () => {
    const one = { ...tensor('w', 32, 64, 4), values: new Float32Array(32 * 64) };
    for (const code of weightCodes([one], random)) expect(decoded(code).every((v) => v === 0)).toBe(true);
  });

  it('are found again in a table in any order', () => {
    const table = Float32Array.of(3, 3, -1, 0, 0.5, 2, -4, 1);
    const values = Float32Array.of(-3.9, 1.1, 0.4, 1.8, 2.9, 3.2, -1.2, 0.2);
    expect([...nearestVectors(values, table, 2)]).toEqual([3, 2, 0, 1]);
  });

  it.each(WEIGHT_BITS)('of %i bits take in the file what is counted, and compute what they decode to', async (bits) => {
    const sketch = {
      input: [48, 6, 6],
      tensors: [tensorOf('w1', [64, 48, 3, 3], 3), tensorOf('w2', [20, 64, 1, 1], 4), tensorOf('w3', [12, 20], 5)],
      nodes: [
        node('Conv', ['x', 'w1'], 'a', [makeInts('pads', [1, 1, 1, 1])], 'one'),
        node('Conv', ['a', 'w2'], 'b', [], 'two'),
        node('GlobalAveragePool', ['b'], 'c'),
        node('Flatten', ['c'], 'd'),
        node('Gemm', ['d', 'w3'], 'y', [{ name: 'transB', type: 2, i: 1 }], 'three'),
      ],
    };
    const model = prepare(await build(sketch));
    const codes = codesOfWeights(model, { bits: 8, bitsOf: () => bits }, { energies: new Map(), random });
    const coded = withCodes(model, codes);
    const directory = scratch();
    const sizes = await Promise.all(
      [model, coded].map(async (one, i) => {
        const path = join(directory, `${String(i)}.onnx`);
        await saveModel(one, path);
        return (await stat(path)).size;
      }),
    );
    const shapes = [
      { rows: 64, count: 64 * 48 * 9 },
      { rows: 20, count: 20 * 64 },
      { rows: 12, count: 12 * 20 },
    ];
    const counted = shapes.reduce((sum, shape) => sum + codedBytes(shape, bits) - 4 * shape.count, 0);
    // A table that small tensors share, and names.
    const found = (sizes[1] ?? NaN) - (sizes[0] ?? NaN);
    expect(Math.abs(found - counted)).toBeLessThan(2500);

    const decodedModel = {
      ...model,
      graph: {
        ...model.graph,
        initializer: model.graph.initializer.map((one) => {
          const code = codes.find(({ weight }) => weight === one.name);
          if (code === undefined) return one;
          const data = decoded(code);
          return { ...one, rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
        }),
      },
    };
    const whole = { ...decodedModel, proto: { ...model.proto, graph: decodedModel.graph } };
    const read = await loadModel(join(directory, '1.onnx'), { directory, limits: LIMITS });
    const outputs = await Promise.all(
      [whole, read].map(async (one) => {
        const runner = await Runner.open(one, { threads: 1 });
        const values = (await runner.run(batchOf(sketch.input, 2))).get('y')?.data as Float32Array;
        await runner.release();
        return values;
      }),
    );
    const largest = Math.max(...(outputs[0] ?? []).map(Math.abs));
    // Tables and scales are halves in the file.
    for (const [i, value] of (outputs[0] ?? []).entries())
      expect(Math.abs(value - (outputs[1]?.[i] ?? NaN))).toBeLessThan(5e-3 * largest);
  });
});
