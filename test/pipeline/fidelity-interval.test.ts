import { describe, expect, it } from 'vitest';
import { normals, seededRandom } from '../../src/compression/linalg/random.js';
import { sampleAxes, SampledFidelity } from '../../src/pipeline/network/compare/sampled.js';
import { wilson } from '../../src/pipeline/network/intervals.js';

const WIDTH = 32;
/** Mean square of the difference, in variances of the outputs. */
const ERROR = 0.04;
const REPEATED = 500;
const WHOLE = { parts: new Map(), axes: new Map() };

interface Population {
  samples: number;
  /** Of the logarithm of what a sample adds to the error. */
  spread: number;
  /** Correlation of that with the sample before. */
  alike?: number;
}

/** Outputs of one sample: of the original, and as far from it as the sample makes it. */
function drawn({ samples, spread, alike = 0 }: Population, random: () => number): SampledFidelity {
  const fidelity = new SampledFidelity(samples, WHOLE);
  let before = normals(1, random)[0] ?? 0;
  for (let i = 0; i < samples; i++) {
    before = alike * before + Math.sqrt(1 - alike * alike) * (normals(1, random)[0] ?? 0);
    const size = Math.sqrt(ERROR * Math.exp(spread * before - spread ** 2 / 2));
    const original = normals(WIDTH, random);
    const noise = normals(WIDTH, random);
    const tensor = (data: Float32Array) => ({ dims: [1, WIDTH], data });
    fidelity.add(
      'y',
      [tensor(original), tensor(original.map((value, j) => value + size * (noise[j] ?? 0)))],
      { begin: i, end: i + 1 },
      { isAnswer: false, isCompared: true },
    );
  }
  return fidelity;
}

/** Share of repetitions whose interval holds the error of all samples that there could be. */
function covered(population: Population, seed: number): number {
  const random = seededRandom(seed);
  let held = 0;
  for (let i = 0; i < REPEATED; i++) {
    const [low = NaN, high = NaN] = drawn(population, random).fidelity.relative_error_ci95 ?? [];
    if (low ** 2 <= ERROR && ERROR <= high ** 2) held += 1;
  }
  return held / REPEATED;
}

describe('the interval of an error', () => {
  // Of 500 repetitions of which 95 in 100 are right, 0.93 to 0.97 are.
  it.each([
    { samples: 12, spread: 0.3, least: 0.93 },
    { samples: 50, spread: 0.5, least: 0.93 },
    { samples: 200, spread: 0.5, least: 0.93 },
    // A few samples make most of the error: twelve of them do not tell how large those of others are.
    { samples: 12, spread: 1, least: 0.86 },
    { samples: 100, spread: 1, least: 0.91 },
  ])('holds that of other samples near 95 times in 100: $samples, spread $spread', ({ least, ...population }) => {
    const share = covered(population, 20 + population.samples);
    expect(share).toBeGreaterThanOrEqual(least);
    expect(share).toBeLessThanOrEqual(0.99);
  });

  it('is wider where a few samples make most of the error', () => {
    const width = (...errors: number[]) => {
      const fidelity = new SampledFidelity(errors.length, WHOLE);
      for (const [begin, error] of errors.entries())
        add(fidelity, [-1, 0, 1], [-1 + error, 0, 1], { begin, end: begin + 1 });
      const [low = NaN, high = NaN] = fidelity.fidelity.relative_error_ci95 ?? [];
      return high / low;
    };
    const alike = Array.from({ length: 20 }, (_, i) => 0.2 + 0.01 * (i % 5));
    const rare = Array.from({ length: 20 }, (_, i) => (i === 7 ? 0.9 : 0.02));
    expect(width(...alike)).toBeLessThan(1.1);
    // By the spread of twenty normal values it would be e^2.1, some 8.
    expect(width(...rare)).toBeGreaterThan(20);
  });

  it('is wider where neighbours are alike', () => {
    const share = covered({ samples: 200, spread: 0.5, alike: 0.6 }, 5);
    expect(share).toBeGreaterThanOrEqual(0.88);
    expect(share).toBeLessThanOrEqual(0.99);
  });

  it('holds the number itself, is the narrower the more samples there are, and that of no error has no width', () => {
    const width = (samples: number) => {
      const { relative_error: error, relative_error_ci95: interval } = drawn(
        { samples, spread: 0.5 },
        seededRandom(3),
      ).fidelity;
      const [low = NaN, high = NaN] = interval ?? [];
      expect(low).toBeLessThan(error);
      expect(high).toBeGreaterThan(error);
      return high / low;
    };
    expect(width(25)).toBeGreaterThan(width(100));
    expect(width(100)).toBeGreaterThan(width(900));
    const same = new SampledFidelity(3, WHOLE);
    for (const begin of [0, 1, 2]) add(same, [1, 2, 3], [1, 2, 3], { begin, end: begin + 1 });
    expect(same.fidelity).toEqual({
      ...{ top1_agreement: 1, top1_agreement_ci95: wilson(1, 3), samples: 3 },
      ...{ relative_error: 0, relative_error_ci95: [0, 0] },
    });
  });

  it('is left out of a single sample', () => {
    const one = new SampledFidelity(1, WHOLE);
    add(one, [1, 2, 3], [1, 3, 3], { begin: 0, end: 1 });
    expect(one.fidelity.relative_error_ci95).toBeUndefined();
    expect(one.fidelity.relative_error).toBeGreaterThan(0);
  });
});

const answers = { isAnswer: true, isCompared: true };

function add(to: SampledFidelity, a: number[], b: number[], range: { begin: number; end: number }): void {
  const tensor = (values: number[]) => ({
    dims: [range.end - range.begin, values.length / (range.end - range.begin)],
    data: Float32Array.from(values),
  });
  to.add('y', [tensor(a), tensor(b)], range, answers);
}

describe('the interval of an agreement', () => {
  it('holds that of other samples near 95 times in 100', () => {
    const random = seededRandom(8);
    let held = 0;
    for (let i = 0; i < REPEATED; i++) {
      const fidelity = new SampledFidelity(40, WHOLE);
      for (let k = 0; k < 40; k++) {
        const agrees = random() < 0.9;
        add(fidelity, [0, 1], agrees ? [0, 1] : [1, 0], { begin: k, end: k + 1 });
      }
      const [low = NaN, high = NaN] = fidelity.fidelity.top1_agreement_ci95 ?? [];
      if (low <= 0.9 && 0.9 <= high) held += 1;
    }
    expect(held / REPEATED).toBeGreaterThanOrEqual(0.93);
    expect(held / REPEATED).toBeLessThanOrEqual(0.99);
  });

  it('does not take the answers of one sample for so many samples', () => {
    const [one, many] = [new SampledFidelity(10, WHOLE), new SampledFidelity(100, WHOLE)];
    for (let k = 0; k < 100; k++) {
      const agrees = k % 50 >= 10;
      const pair = [Float32Array.of(0, 1), agrees ? Float32Array.of(0, 1) : Float32Array.of(1, 0)] as const;
      const [a, b] = pair.map((data) => ({ dims: [1, 2], data }));
      if (a !== undefined && b !== undefined) many.add('y', [a, b], { begin: k, end: k + 1 }, answers);
    }
    for (let k = 0; k < 10; k++) {
      // Ten answers each; two samples are wrong in all of them.
      const rows = (agrees: boolean) =>
        Float32Array.from({ length: 20 }, (_, i) => (i % 2 === (agrees ? 1 : 0) ? 1 : 0));
      const tensor = (data: Float32Array) => ({ dims: [1, 10, 2], data });
      one.add('y', [tensor(rows(true)), tensor(rows(k % 5 > 0))], { begin: k, end: k + 1 }, answers);
    }
    const width = (of: SampledFidelity) => {
      const [low = NaN, high = NaN] = of.fidelity.top1_agreement_ci95 ?? [];
      return high - low;
    };
    expect(one.fidelity.top1_agreement).toBe(0.8);
    expect(many.fidelity.top1_agreement).toBe(0.8);
    const [low, high] = wilson(0.8, 10);
    expect(width(one)).toBeCloseTo(high - low, 1);
    expect(width(many)).toBeLessThan(0.75 * width(one));
  });
});

describe('samples of an output', () => {
  it('are found along another axis than the first', () => {
    // Time first: three steps of two samples.
    const dims = [3, 2, 2];
    expect(sampleAxes(new Map([['y', { dims, data: new Float32Array(12) }]]), 2)).toEqual(new Map([['y', 1]]));
    const before = Float32Array.from({ length: 12 }, (_, i) => i);
    // Only the second sample changes.
    const after = before.map((value, i) => (Math.floor(i / 2) % 2 === 1 ? value + 1 : value));
    const along = (axis: number) => {
      const fidelity = new SampledFidelity(2, { parts: new Map(), axes: new Map([['y', axis]]) });
      fidelity.add(
        'y',
        [
          { dims, data: before },
          { dims, data: after },
        ],
        { begin: 0, end: 2 },
        answers,
      );
      return fidelity.fidelity;
    };
    expect(along(1).relative_error_ci95).toBeDefined();
    // Three steps are not two samples: one draw, and nothing to compare it with.
    expect(along(0).relative_error_ci95).toBeUndefined();
    expect(along(0).relative_error).toBeCloseTo(along(1).relative_error, 9);
  });

  it('are put together where there are very many', () => {
    const random = seededRandom(1);
    const many = drawn({ samples: 5000, spread: 0.3 }, random).fidelity;
    const [low = NaN, high = NaN] = many.relative_error_ci95 ?? [];
    expect(many.samples).toBe(5000);
    expect(high / low).toBeLessThan(1.03);
    expect(low ** 2).toBeLessThan(ERROR);
    expect(high ** 2).toBeGreaterThan(ERROR);
  });
});
