import { describe, expect, it } from 'vitest';
import { codesOfWeights, CODING_NOISE, decoded, prepare, WEIGHT_BITS } from '../../src/models/index.js';
import { makeInts } from '../../src/models/ir/attributes.js';
import { tensorFloats } from '../../src/models/ir/tensors.js';
import { seededRandom } from '../../src/pipeline/network/random.js';
import { trainedCodes } from '../../src/pipeline/steps/assemble/trained-codes.js';
import { build, node, noise, tensorOf } from '../models/graphs.js';

const network = async () =>
  prepare(
    await build({
      input: [16, 6, 6],
      tensors: [tensorOf('w1', [32, 16, 3, 3], 3), tensorOf('b1', [32], 9), tensorOf('w2', [16, 32, 3, 3], 4)],
      nodes: [
        node('Conv', ['x', 'w1', 'b1'], 'a', [makeInts('pads', [1, 1, 1, 1])], 'one'),
        node('Conv', ['a', 'w2'], 'y', [], 'two'),
      ],
    }),
  );

/** The weights as a network under training has them. */
async function studentOf(model: Awaited<ReturnType<typeof network>>, names: ReadonlySet<string>) {
  const weights = new Map(
    model.graph.initializer
      .filter(({ name }) => names.has(name))
      .map((one) => [one.name, { dims: one.dims.map(Number), data: tensorFloats(one, null).slice() }]),
  );
  return { weights, sizeOf: () => 0.5 };
}

describe('coded weights under training', () => {
  it.each(WEIGHT_BITS)('of %i bits reach other weights as nearly as a code of these would', async (bits) => {
    const model = await network();
    const codes = codesOfWeights(model, { bits }, { energies: new Map(), random: (table) => seededRandom(1, table) });
    const trained = trainedCodes(model, codes);
    expect(trained.weights).toEqual(new Set(['w1', 'w2', 'b1']));
    const student = await studentOf(model, trained.weights);
    const first = codes.map((code) => decoded(code));
    const optimizer = await trained.begin(student, { matrices: new Map(), threads: 1 });
    // From the first step on the network computes with the codes.
    expect(student.weights.get('w1')?.data).toEqual(first[0]);
    const wanted = new Map([...student.weights].map(([name, { data }], i) => [name, noise(data.length, 70 + i)]));
    const differences = () =>
      new Map(
        [...student.weights].map(([name, { data }]) => [
          name,
          data.map((value, i) => 2 * (value - (wanted.get(name)?.[i] ?? NaN))),
        ]),
      );
    const steps = 600;
    for (let step = 0; step < steps; step++) await optimizer.step(differences(), 0.03 * (1 - step / steps));
    await optimizer.release();
    const squares = (values: Float32Array) => values.reduce((sum, v) => sum + v * v, 0);
    for (const name of ['w1', 'w2']) {
      const left = squares(differences().get(name) ?? new Float32Array()) / 4;
      expect(left / squares(wanted.get(name) ?? new Float32Array())).toBeLessThan(2.5 * CODING_NOISE[bits] + 0.002);
    }
    expect(squares(differences().get('b1') ?? new Float32Array())).toBeLessThan(1e-2);
    // What was given is what it was.
    expect(codes.map((code) => decoded(code))).toEqual(first);
  });

  it('of an output of zeros stay zeros, and the others learn', async () => {
    const model = await network();
    const weights = model.graph.initializer.find(({ name }) => name === 'w1');
    const bytes = weights?.rawData;
    if (bytes === undefined) throw new Error('no weights');
    bytes.fill(0, 0, 4 * 2 * 16 * 9);
    const options = { energies: new Map<string, Float32Array>(), random: (table: number) => seededRandom(1, table) };
    const trained = trainedCodes(model, codesOfWeights(model, { bits: 4 }, options));
    const student = await studentOf(model, trained.weights);
    const optimizer = await trained.begin(student, { matrices: new Map(), threads: 1 });
    const of = () => student.weights.get('w1')?.data ?? new Float32Array();
    const before = of().slice();
    for (let step = 0; step < 20; step++)
      await optimizer.step(
        new Map([...student.weights].map(([name, { data }], i) => [name, noise(data.length, i)])),
        0.02,
      );
    expect(
      of()
        .subarray(0, 2 * 16 * 9)
        .every((value) => value === 0),
    ).toBe(true);
    expect(of().every(Number.isFinite)).toBe(true);
    const moved = of().filter((value, i) => value !== before[i]).length;
    expect(moved).toBeGreaterThan(0.9 * 30 * 16 * 9);
    const entries = new Set(of().subarray(2 * 16 * 9));
    expect(entries.size).toBeGreaterThan(1000);
  });

  it('are in the network that comes out, and not in the one before', async () => {
    const model = await network();
    const options = { energies: new Map<string, Float32Array>(), random: (table: number) => seededRandom(1, table) };
    const codes = codesOfWeights(model, { bits: 4 }, options);
    const trained = trainedCodes(model, codes);
    const bytesOf = (of: typeof model) =>
      of.graph.initializer.map(({ rawData }) => Buffer.from(rawData ?? []).toString('base64'));
    const before = bytesOf(trained.before);
    const student = await studentOf(model, trained.weights);
    const optimizer = await trained.begin(student, { matrices: new Map(), threads: 1 });
    for (let step = 0; step < 20; step++)
      await optimizer.step(
        new Map([...student.weights].map(([name, { data }], i) => [name, noise(data.length, i)])),
        0.02,
      );
    expect(bytesOf(trained.before)).toEqual(before);
    expect(bytesOf(trained.after(model))).not.toEqual(before);
    expect(bytesOf(trained.after(model)).map((text) => text.length)).toEqual(before.map((text) => text.length));
  });
});
