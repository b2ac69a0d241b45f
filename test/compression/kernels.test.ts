import { describe, expect, it } from 'vitest';
import { addToRows, columnMeans } from '../../src/compression/linalg/columns.js';
import { vectorPasses } from '../../src/compression/simd/activation-kernels.js';
import { addOffsets, sumsOfColumns } from '../../src/compression/simd/column-kernels.js';
import { Kernel } from '../../src/compression/simd/kernel.js';
import { SLOT } from '../../src/compression/simd/memory.js';
import { compiled, run } from '../../src/compression/simd/run.js';
import { plainPasses, type Passes } from '../../src/compression/activations/passes.js';
import { passesOf } from '../../src/compression/simd/passes-of.js';
import { activationFunction } from '../../src/compression/prox/activation-function.js';
import { normals, seededRandom } from '../../src/compression/linalg/random.js';
import { matrix } from '../../src/engines/index.js';
import type { Activation } from '../../src/models/activation.js';
import { label } from './activations.js';

const VECTOR: Activation[] = [
  { kind: 'identity' },
  { kind: 'relu' },
  { kind: 'clip', min: 0, max: 6 },
  { kind: 'clip', min: -1, max: 1 },
  { kind: 'clip', min: 0.5, max: Infinity },
  { kind: 'clip', min: -Infinity, max: 2 },
  { kind: 'leaky_relu', alpha: 0.1 },
  { kind: 'leaky_relu', alpha: -0.5 },
  { kind: 'hard_swish' },
];
/** Their Z-step is searched for: in vectors by a scan and a fixed number of refinements. */
const SEARCHED: Activation[] = [
  { kind: 'elu', alpha: 1 },
  { kind: 'elu', alpha: 0.5 },
  { kind: 'sigmoid' },
  { kind: 'tanh' },
  { kind: 'silu' },
  { kind: 'gelu', approximate: false },
  { kind: 'gelu', approximate: true },
  { kind: 'softplus' },
];
const named = (activations: Activation[]) => activations.map((activation) => ({ activation, name: label(activation) }));
/** Less than four floats, no whole number of fours, blocks that end within, at and after the arrays. */
const LENGTHS = [1, 3, 4, 5, 63, SLOT - 1, SLOT, SLOT + 1, 2 * SLOT + 7];

function vector(activation: Activation): Passes {
  const passes = vectorPasses(activation);
  if (passes === null) throw new Error(`${activation.kind} has no vector passes on this processor`);
  return passes;
}

/** Values that a border of the activations runs through, and both zeros, among normal ones. */
function values(length: number, seed: number, scale = 1): Float32Array {
  const some = normals(length, seededRandom(seed)).map((x) => 2 * scale * x);
  [0, -0, 1, -1, 6, 0.5].forEach((x, i) => {
    for (let at = (seed + i) % 11; at < length; at += 29) some[at] = x * scale;
  });
  return some;
}

const wanted = (activation: Activation, length: number, scale = 1): Float32Array => {
  const { value } = activationFunction(activation);
  return values(length, 1, scale).map((x) => value(x));
};

function expectClose(actual: Float32Array, expected: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < actual.length; i++) {
    const gap = Math.abs((actual[i] ?? NaN) - (expected[i] ?? NaN));
    if (!(gap <= tolerance)) expect.fail(`entry ${i}: ${actual[i]} instead of ${expected[i]}`);
  }
}

describe.each(named([...VECTOR, ...SEARCHED]))('$name', ({ activation }) => {
  const { value, slope } = activationFunction(activation);

  it('is solved in vectors', () => {
    expect(passesOf(activation)).toBe(vectorPasses(activation));
  });

  it.each(LENGTHS)('sums up %i entries to the precision of single floats', (length) => {
    const [y, z, previous, next, target] = [wanted(activation, length), ...[2, 3, 4, 5].map((s) => values(length, s))];
    if (!z || !previous || !next || !target) throw new Error('five arrays');
    const u = new Float32Array(length);
    const sums = vector(activation).dual({ y, z, previous, next, target, u });
    const total = (term: (i: number) => number): number => {
      let sum = 0;
      for (let i = 0; i < length; i++) sum += term(i) ** 2;
      return sum;
    };
    const at = (a: Float32Array, i: number): number => a[i] ?? NaN;
    const reference = {
      primal: total((i) => at(z, i) - at(next, i)),
      dual: total((i) => at(next, i) - at(previous, i)),
      z: total((i) => at(z, i)),
      f: total((i) => at(next, i)),
      u: total((i) => at(target, i) - at(next, i)),
      loss: total((i) => at(y, i) - value(at(next, i))),
    };
    for (const [name, expected] of Object.entries(reference)) {
      const actual = sums[name as keyof typeof sums];
      expect(Math.abs(actual - expected), name).toBeLessThanOrEqual(3e-7 * expected + 1e-12);
    }
    expectClose(
      u,
      target.map((t, i) => t - at(next, i)),
      0,
    );
    expect(vector(activation).loss(y, next)).toBe(sums.loss);
  });

  it.each(LENGTHS)('majorises at %i entries', (length) => {
    const y = wanted(activation, length);
    const f = values(length, 2);
    const previous = values(length, 3);
    for (const momentum of [0, 0.7]) {
      const out = new Float32Array(length);
      vector(activation).majorize({ y, f, previous, momentum, target: out });
      const single = Math.fround;
      const expected = Array.from(f, (x, i) => {
        const e = single(x + single(single(momentum) * single(x - (previous[i] ?? NaN))));
        return e + ((y[i] ?? NaN) - value(e)) * slope(e);
      });
      // The smooth ones are polynomials in single precision, times gaps of up to a hundred.
      expectClose(out, expected, SEARCHED.includes(activation) ? 2e-5 : 4e-6);
    }
  });

  it('keeps sums of large values finite, and gives the same at every call', () => {
    const large = values(1001, 6, 1e25);
    const zero = new Float32Array(1001);
    const u = new Float32Array(1001);
    const sums = vector(activation).dual({ y: zero, z: large, previous: zero, next: large, target: large, u });
    const plain = plainPasses(activation).dual({ y: zero, z: large, previous: zero, next: large, target: large, u });
    for (const name of ['primal', 'dual', 'z', 'f', 'u', 'loss'] as const) {
      expect(Math.abs(sums[name] - plain[name]), name).toBeLessThanOrEqual(3e-7 * plain[name]);
    }
    expect(vector(activation).dual({ y: zero, z: large, previous: zero, next: large, target: large, u })).toEqual(sums);
  });

  it.each(LENGTHS)('is applied to %i entries', (length) => {
    const z = values(length, 2, 3);
    const expected = plainPasses(activation).values(z);
    expectClose(vector(activation).values(z), expected, SEARCHED.includes(activation) ? 3e-6 : 1e-6);
  });

  it('stays at the centre where the wanted value is met', () => {
    const v = values(999, 4);
    const y = v.map((x) => value(x));
    const z = new Float32Array(v.length);
    vector(activation).split({ y, f: v, u: new Float32Array(v.length), rho: 1, z, target: new Float32Array(v.length) });
    expectClose(z, v, 2e-6);
  });

  it('is finite at the ends of the numbers', () => {
    const v = Float32Array.of(-1e30, -1e4, -100, -88, -0, 0, 88, 100, 1e4, 1e15);
    const y = v.map((x) => value(x));
    const z = new Float32Array(v.length);
    vector(activation).split({ y, f: v, u: new Float32Array(v.length), rho: 1, z, target: new Float32Array(v.length) });
    expect(z.every(Number.isFinite)).toBe(true);
    const out = new Float32Array(v.length);
    vector(activation).majorize({ y, f: v, previous: v, momentum: 0, target: out });
    expect(out.every(Number.isFinite)).toBe(true);
  });

  it.each([0, 6, 4099])('passes on a value %i that is not a number', (at) => {
    const length = 4101;
    const clean = values(length, 2);
    const broken = Float32Array.from(clean);
    broken[at] = NaN;
    const z = new Float32Array(length);
    const target = new Float32Array(length);
    vector(activation).split({ y: clean, f: broken, u: clean, rho: 1, z, target });
    expect(target.findIndex(Number.isNaN)).toBe(at);
    const u = new Float32Array(length);
    const sums = vector(activation).dual({ y: clean, z: clean, previous: clean, next: broken, target: clean, u });
    expect([sums.loss, sums.primal, u[at]]).toEqual([NaN, NaN, NaN]);
    expect(vector(activation).loss(clean, broken)).toBeNaN();
    vector(activation).majorize({ y: clean, f: broken, previous: clean, momentum: 0.5, target });
    expect(target[at]).toBeNaN();
  });
});

describe.each(named(VECTOR))('$name', ({ activation }) => {
  const { value } = activationFunction(activation);

  it.each(LENGTHS)('splits %i entries as the plain loops do', (length) => {
    const y = wanted(activation, length);
    const f = values(length, 2);
    const u = values(length, 3, 0.5);
    for (const rho of [0.01, 1, 37, 1e4]) {
      const z = new Float32Array(length).fill(NaN);
      const target = new Float32Array(length).fill(NaN);
      const plainZ = new Float32Array(length);
      const plainTarget = new Float32Array(length);
      vector(activation).split({ y, f, u, rho, z, target });
      plainPasses(activation).split({ y, f, u, rho, z: plainZ, target: plainTarget });
      let jumps = 0;
      for (let i = 0; i < length; i++) {
        const v = Math.fround((f[i] ?? NaN) - (u[i] ?? NaN));
        const cost = (x: number): number => ((y[i] ?? NaN) - value(x)) ** 2 + rho * (x - v) ** 2;
        const [own, plain] = [z[i] ?? NaN, plainZ[i] ?? NaN];
        if (target[i] !== Math.fround(own + (u[i] ?? NaN))) expect.fail(`target ${target[i]} at z ${own}, u ${u[i]}`);
        // Two branches may cost the same up to rounding: then either is the minimiser.
        if (Math.abs(own - plain) > 2e-5) jumps++;
        const scale = (y[i] ?? NaN) ** 2 + rho * v * v;
        if (!(cost(own) <= cost(plain) + 2e-6 * scale))
          expect.fail(`y ${y[i]} v ${v} rho ${rho}: ${own}, not ${plain}`);
      }
      expect(jumps).toBeLessThanOrEqual(length * 0.04);
    }
  });
});

describe.each(named(SEARCHED))('the search before $name', ({ activation }) => {
  const { value } = activationFunction(activation);

  it.each([0.05, 0.5, 1, 20])('is as good as in plain loops at rho %f', (rho) => {
    const length = 2 * SLOT + 7;
    const y = wanted(activation, length, 2);
    const v = values(length, 2, 2);
    const [z, plain, target] = [new Float32Array(length), new Float32Array(length), new Float32Array(length)];
    vector(activation).split({ y, f: v, u: new Float32Array(length), rho, z, target });
    plainPasses(activation).split({ y, f: v, u: new Float32Array(length), rho, z: plain, target });
    let [own, reference] = [0, 0];
    for (let i = 0; i < length; i++) {
      const cost = (x: number): number => ((y[i] ?? NaN) - value(x)) ** 2 + rho * (x - (v[i] ?? NaN)) ** 2;
      const [found, best, start] = [cost(z[i] ?? NaN), cost(plain[i] ?? NaN), cost(v[i] ?? NaN)];
      own += found;
      reference += best;
      // A valley that is hardly deeper than another one may be missed between two points of the scan.
      if (!(found <= best + (rho < 0.5 ? 0.15 : 0.04) * start + 1e-6))
        expect.fail(`y ${y[i]} v ${v[i]}: ${z[i]}, not ${plain[i]}`);
    }
    expect(own / reference - 1).toBeLessThan(rho < 0.5 ? 2e-3 : 2e-4);
  });
});

it('leaves other activations to the plain loops', () => {
  const activation: Activation = { kind: 'hard_sigmoid', alpha: 0.2, beta: 0.5 };
  expect(vectorPasses(activation)).toBeNull();
  const y = Float32Array.of(1, 2);
  expect(passesOf(activation).loss(y, y)).toBe(plainPasses(activation).loss(y, y));
});

it('does not take the kernels of one clip for those of another', () => {
  const zero = new Float32Array(1);
  const z = Float32Array.of(10);
  expect(passesOf({ kind: 'clip', min: 0, max: 6 }).loss(zero, z)).toBe(36);
  expect(passesOf({ kind: 'clip', min: 0, max: 3 }).loss(zero, z)).toBe(9);
});

describe('columns', () => {
  it.each([
    [1, 1],
    [3, 5],
    [700, 13],
    [129, 64],
    [5, 4099],
    [3, SLOT],
    [2, SLOT + 3],
    [4, 0],
  ])('of %i x %i have the means and take the offsets of a plain loop', (rows, cols) => {
    const a = matrix(rows, cols, values(rows * cols, 9));
    const offset = Float64Array.from(values(cols, 10));
    const sums = new Float64Array(cols);
    a.data.forEach((x, i) => (sums[i % cols] = (sums[i % cols] ?? NaN) + x));
    const means = columnMeans(a);
    expect(means.length).toBe(cols);
    means.forEach((mean, c) => expect(mean).toBeCloseTo((sums[c] ?? NaN) / rows, 12));
    const expected = a.data.map((x, i) => x + (offset[i % cols] ?? NaN));
    expect(addToRows(a, offset)).toBe(a);
    expect(a.data).toEqual(expected);
  });

  it('go through the kernels up to the width of a slot', () => {
    expect(sumsOfColumns(matrix(2, SLOT))).not.toBeNull();
    expect(sumsOfColumns(matrix(2, SLOT + 1))).toBeNull();
    expect(addOffsets(matrix(2, SLOT + 1), new Float32Array(SLOT + 1))).toBe(false);
  });

  it('do not take offsets of another width', () => {
    expect(() => addToRows(matrix(2, 3), [1, 2])).toThrow('2 offsets for 3 columns');
  });
});

describe('a kernel', () => {
  const k = new Kernel();
  k.store(2, k.sub(k.load(0), k.mul(k.scalar(1), k.load(1))));
  const kernels = compiled({ k });
  if (kernels === null) throw new Error('no vector instructions');

  it('may write over one of its inputs, and leaves what lies beside its arrays', () => {
    const buffer = new Float32Array(SLOT + 8).fill(5);
    const a = buffer.subarray(3, SLOT + 4);
    run(kernels.k, { inputs: [a, a], outputs: [a], scalars: [9, 3] });
    expect(a.every((x) => x === -10)).toBe(true);
    expect([...buffer.subarray(0, 3), ...buffer.subarray(SLOT + 4)]).toEqual([5, 5, 5, 5, 5, 5, 5]);
  });

  it('does not run over arrays of different lengths', () => {
    const [three, four] = [new Float32Array(3), new Float32Array(4)];
    expect(() => run(kernels.k, { inputs: [three, four], outputs: [three] })).toThrow('arrays of 3 and of 4 floats');
    expect(() => run(kernels.k, { inputs: [three, three], outputs: [four] })).toThrow(RangeError);
  });

  it('does nothing over empty arrays', () => {
    const none = new Float32Array(0);
    run(kernels.k, { inputs: [none, none], outputs: [none] });
    expect(none.length).toBe(0);
  });
});
