import { describe, expect, it } from 'vitest';
import { affineOf, quantized, roundHalfEven, toInt32, type Range } from '../../src/models/coding/affine.js';
import { Histogram } from '../../src/models/coding/histogram.js';
import { toInt8 } from '../../src/models/coding/int8.js';
import { noise } from './graphs.js';

/**
 * QuantizeLinear by its definition, with the quotient in float32: saturate(round(x / scale) + zero point), ties to
 * even.
 */
function reference(x: number, scale: number, zeroPoint: number): number {
  const quotient = Math.fround(x / scale);
  const [down, up] = [Math.floor(quotient), Math.ceil(quotient)];
  const nearest =
    quotient - down < up - quotient ? down : quotient - down > up - quotient ? up : down % 2 === 0 ? down : up;
  return Math.max(0, Math.min(255, nearest + zeroPoint));
}

describe('rounding', () => {
  it('takes ties to the even number on both sides of zero', () => {
    const from = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4999, 2.5001, -2.5001, 1e15];
    expect(from.map((value) => roundHalfEven(value) + 0)).toEqual([-2, -2, 0, 0, 2, 2, 2, 3, -3, 1e15]);
  });
});

describe('the steps of an activation', () => {
  const RANGES = [
    { low: 0, high: 6 },
    { low: -1, high: 1 },
    { low: -0.3, high: 7.1 },
    { low: -5, high: 0 },
    { low: 2, high: 3 },
    { low: -9, high: -8 },
    { low: 0, high: 1e-30 },
    { low: -3e37, high: 1e37 },
  ];

  it.each(RANGES)('from $low to $high have zero exactly, and lose half a step inside', ({ low, high }) => {
    const affine = affineOf({ low, high });
    const { scale, zeroPoint } = affine;
    expect(Math.fround(scale)).toBe(scale);
    expect(Number.isInteger(zeroPoint) && zeroPoint >= 0 && zeroPoint <= 255).toBe(true);
    expect(quantized(0, affine)).toBe(zeroPoint);
    const [from, to] = [Math.min(0, low), Math.max(0, high)];
    for (const share of noise(500, 3)) {
      const x = Math.fround(from + ((share + 1) / 2) * (to - from));
      const q = quantized(x, affine);
      expect(q).toBe(reference(x, scale, zeroPoint));
      // The zero point itself is rounded, so that the ends may lie half a step outside.
      expect(Math.abs(scale * (q - zeroPoint) - x)).toBeLessThanOrEqual(scale * (q === 0 || q === 255 ? 1.001 : 0.501));
    }
  });

  it('saturate outside of the range, at infinity too', () => {
    const affine = affineOf({ low: -1, high: 3 });
    expect(quantized(1e9, affine)).toBe(255);
    expect(quantized(-1e9, affine)).toBe(0);
    expect(quantized(Infinity, affine)).toBe(255);
    expect(quantized(-Infinity, affine)).toBe(0);
  });

  it('never go beyond the upper end, which may be the limit of a Clip', () => {
    for (const high of [...noise(2000, 4)].map((v) => 6 * Math.abs(v) + 1e-3))
      expect(Math.fround(affineOf({ low: 0, high }).scale * 255)).toBeLessThanOrEqual(high);
  });

  it('are of size one for a range of nothing but zero, and normal numbers for the smallest one', () => {
    expect(affineOf({ low: 0, high: 0 })).toEqual({ scale: 1, zeroPoint: 0 });
    const { scale } = affineOf({ low: 0, high: 1e-44 });
    expect(scale).toBe(2 ** -126);
  });
});

describe('biases', () => {
  it('are counted in steps of their row, ties to even, and saturate', () => {
    const bias = Float32Array.of(0.5, -1.25, 1e30, -1e30, 0.375);
    const scales = Float32Array.of(0.25, 0.5, 1e-3, 1e-3, 0.25);
    expect([...toInt32(bias, scales)]).toEqual([2, -2, 2 ** 31 - 1, 1 - 2 ** 31, 2]);
  });
});

describe('a histogram', () => {
  const of = (...parts: Float32Array[]) => {
    const histogram = new Histogram();
    for (const part of parts) histogram.add(part);
    return histogram;
  };
  const bell = (length: number, seed: number) => {
    const [a, b, c, d] = [1, 2, 3, 4].map((i) => noise(length, 10 * seed + i));
    return Float32Array.from({ length }, (_, i) => (a?.[i] ?? 0) + (b?.[i] ?? 0) + (c?.[i] ?? 0) + (d?.[i] ?? 0));
  };

  it('knows the extremes of all values, and always holds zero', () => {
    expect(of(Float32Array.of(1, 5), Float32Array.of(3)).range).toEqual({ low: 0, high: 5 });
    expect(of(Float32Array.of(-2, -7)).range).toEqual({ low: -7, high: 0 });
    expect(of(new Float32Array(100)).range).toEqual({ low: 0, high: 0 });
    expect(of(new Float32Array(100)).bestRange()).toEqual({ low: 0, high: 0 });
  });

  it('has no range without values, or with some that are not finite', () => {
    for (const values of [[], [1, NaN], [Infinity], [-Infinity, 2]]) {
      const histogram = of(Float32Array.from(values), new Float32Array(0));
      expect(histogram.range).toBeNull();
      expect(histogram.bestRange()).toBeNull();
    }
    expect(of(Float32Array.of(NaN), Float32Array.of(1)).range).toBeNull();
  });

  it('finds a range that loses hardly more than the best of an exhaustive search on the values', () => {
    for (const seed of [1, 2, 3]) {
      const values = bell(20_000, seed).map((v) => (seed === 3 ? Math.max(0, v) ** 3 : v));
      const histogram = of(values);
      const loss = (range: Range) => {
        const affine = affineOf(range);
        let sum = 0;
        for (const x of values) sum += (x - affine.scale * (quantized(x, affine) - affine.zeroPoint)) ** 2;
        return sum;
      };
      const largest = Math.max(-histogram.low, histogram.high);
      let least = Infinity;
      for (let clip = 1; clip > 0.05; clip -= 0.01)
        least = Math.min(
          least,
          loss({ low: Math.max(histogram.low, -clip * largest), high: Math.min(histogram.high, clip * largest) }),
        );
      expect(loss(histogram.bestRange() ?? { low: 0, high: 1e9 })).toBeLessThan(1.05 * least);
    }
  });

  it('does not give all others wider steps for one outlier', () => {
    const values = bell(200_000, 5);
    values[7] = 6;
    const best = of(values).bestRange();
    expect(best?.high).toBeLessThan(5.7);
    expect(best?.high).toBeGreaterThan(3);
  });

  it('finds where a share of the values lies, on both sides of zero', () => {
    const values = Float32Array.from({ length: 20_001 }, (_, i) => (i - 10_000) / 10_000);
    const range = of(values, Float32Array.of(-40), new Float32Array(1e6)).rangeOf(0.9);
    // a bin is 64 / 2048 wide
    expect(Math.abs((range?.high ?? 0) - 0.9)).toBeLessThan(0.04);
    expect(Math.abs((range?.low ?? 0) + 0.9)).toBeLessThan(0.04);
    expect(of(Float32Array.of(-1, 3)).rangeOf(1)).toEqual({ low: -1, high: 3 });
    expect(of(new Float32Array(9)).rangeOf(0.9)).toEqual({ low: 0, high: 0 });
    expect(of(Float32Array.of(NaN)).rangeOf(0.9)).toBeNull();
  });

  it('of growing values is that of the same values at once, and does not count zeros', () => {
    const values = Float32Array.from({ length: 4000 }, (_, i) => (i % 2 === 0 ? 0 : Math.exp(i / 300)));
    const grown = of(...Array.from({ length: 40 }, (_, i) => values.subarray(100 * i, 100 * i + 100)));
    expect(grown.bestRange()).toEqual(of(values).bestRange());
    const mostlyZero = Float32Array.from({ length: 100_000 }, (_, i) => (i % 100 === 0 ? (i / 1000) % 7 : 0));
    expect(of(mostlyZero).bestRange()).toEqual(of(mostlyZero.filter((v) => v !== 0)).bestRange());
  });
});

describe('8-bit weights for integer kernels', () => {
  // [rows, inputs, taps] as a convolution has them
  const layout = { rows: 6, rowStride: 5 * 9, inputs: 5, inputStride: 9, groups: 1 };
  const weights = noise(6 * 45, 8).map((v) => Math.abs(v));
  const ones = new Float32Array(weights.length).fill(1);

  it('have no neighbours whose products could saturate 16 bits', () => {
    const pairs = (values: Int8Array) => {
      let largest = 0;
      for (let row = 0; row < 6; row++) {
        // the inputs of one tap, then those of the next
        const inOrder = Array.from({ length: 45 }, (_, k) => values[row * 45 + (k % 5) * 9 + Math.floor(k / 5)] ?? 0);
        for (let k = 0; k + 1 < 45; k += 2) largest = Math.max(largest, (inOrder[k] ?? 0) + (inOrder[k + 1] ?? 0));
      }
      return largest;
    };
    expect(255 * pairs(toInt8(weights, ones, layout).values)).toBeGreaterThan(32767);
    expect(255 * pairs(toInt8(weights, ones, layout, { neighbours: true }).values)).toBeLessThanOrEqual(32767);
    const largest = new Float32Array(6 * 45).fill(-3);
    const { values, scales } = toInt8(largest, ones, layout, { neighbours: true });
    expect(255 * Math.min(...values) * 2).toBeGreaterThanOrEqual(-32768);
    expect(Math.abs((values[0] ?? 0) * (scales[0] ?? 0) + 3)).toBeLessThan(0.03);
  });

  it('keep to the least scale that is asked for', () => {
    const least = Float32Array.of(0, 1, 0, 0.5, 0, 0);
    const { scales, values } = toInt8(weights, ones, layout, { least });
    expect(scales[1]).toBe(1);
    expect(scales[3]).toBe(0.5);
    expect(scales[0]).toBeLessThan(0.01);
    expect(values.subarray(45, 90).every((v) => v === 0 || v === 1)).toBe(true);
  });
});
