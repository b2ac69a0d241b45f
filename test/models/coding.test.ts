import { describe, expect, it } from 'vitest';
import { halfToFloat } from '../../src/datasets/half.js';
import { floatToHalf } from '../../src/models/coding/float16.js';
import { toInt8 } from '../../src/models/coding/int8.js';
import { assign, kMeans } from '../../src/models/coding/kmeans.js';
import { importances, rowOf } from '../../src/models/coding/layout.js';
import { seededRandom } from '../../src/pipeline/network/random.js';
import { noise } from './graphs.js';

const rows = (count: number, d: number) => ({ rows: count, rowStride: d, inputs: d, inputStride: 1, groups: 1 });
const ones = (length: number) => new Float32Array(length).fill(1);
const total = (values: Float64Array) => values.reduce((a, b) => a + b, 0);

/** The least loss of k centroids over all ways to put `values` into k groups. */
function bruteForce(values: Float32Array, weights: Float32Array, width: number, k: number): number {
  const count = values.length / width;
  let best = Infinity;
  for (let code = 0; code < k ** count; code++) {
    const group = (i: number) => Math.floor(code / k ** i) % k;
    let loss = 0;
    for (let c = 0; c < k; c++) {
      for (let e = 0; e < width; e++) {
        const members = Array.from({ length: count }, (_, i) => i).filter((i) => group(i) === c);
        const weight = members.reduce((sum, i) => sum + (weights[i * width + e] ?? 0), 0);
        const mean =
          members.reduce((s, i) => s + (weights[i * width + e] ?? 0) * (values[i * width + e] ?? 0), 0) / weight;
        for (const i of members) loss += (weights[i * width + e] ?? 0) * ((values[i * width + e] ?? 0) - mean) ** 2;
      }
    }
    best = Math.min(best, loss);
  }
  return best;
}

describe('binary16', () => {
  it('comes back the same for all of its numbers', () => {
    for (let bits = 0; bits < 1 << 16; bits++) {
      const value = halfToFloat(bits);
      if (Number.isNaN(value)) expect(halfToFloat(floatToHalf(value))).toBeNaN();
      else if (!Object.is(value, -0) && floatToHalf(value) !== bits)
        expect.unreachable(`${value} became another number`);
    }
    expect(floatToHalf(-0)).toBe(0x8000);
  });

  it('is the nearest of its numbers, ties to even', () => {
    const ascending = Array.from({ length: 0x7c00 }, (_, bits) => halfToFloat(bits));
    for (let bits = 0; bits + 1 < ascending.length; bits += 13) {
      const low = ascending[bits] ?? NaN;
      const high = ascending[bits + 1] ?? NaN;
      expect(floatToHalf(low + 0.4 * (high - low))).toBe(bits);
      expect(floatToHalf(low + 0.6 * (high - low))).toBe(bits + 1);
      expect(floatToHalf((low + high) / 2)).toBe(bits % 2 === 0 ? bits : bits + 1);
    }
    expect(floatToHalf(65519)).toBe(0x7bff);
    expect(floatToHalf(-65520)).toBe(0xfc00);
  });
});

describe('8-bit integers', () => {
  it('lose half a step at most where nothing is clipped, and zero is exact', () => {
    const weights = noise(4 * 50, 3).map((v, i) => (i % 7 === 0 ? 0 : v * 10 ** Math.floor(i / 50)));
    const layout = rows(4, 50);
    const { values, scales } = toInt8(weights, ones(200), layout);
    for (const [i, weight] of weights.entries()) {
      const scale = scales[rowOf(layout, i)] ?? NaN;
      // Uniform noise: clipping any of it costs more than it gains.
      expect(Math.abs(weight - (values[i] ?? NaN) * scale)).toBeLessThanOrEqual(0.5001 * scale);
      if (weight === 0) expect(values[i]).toBe(0);
    }
  });

  it('clip an outlier that hardly matters, and not one that does', () => {
    const weights = noise(400, 5).map((v, i) => (i === 0 ? 1.6 : v));
    const loss = (importance: Float32Array) => {
      const { values, scales } = toInt8(weights, importance, rows(1, 400));
      return { first: Math.abs((weights[0] ?? 0) - (values[0] ?? 0) * (scales[0] ?? 0)), scale: scales[0] ?? 0 };
    };
    const unimportant = loss(ones(400).map((v, i) => (i === 0 ? 1e-9 : v)));
    expect(unimportant.scale).toBeLessThan(1.3 / 127);
    const important = loss(ones(400));
    expect(important.first).toBeLessThan(0.51 * important.scale);
  });

  it('of rows of zeros and of numbers near the end of the range stay finite', () => {
    const { values, scales } = toInt8(Float32Array.of(0, 0, 1e-40, -1e-40, 3e38, -3e38), ones(6), rows(3, 2));
    expect([...values.subarray(0, 2)]).toEqual([0, 0]);
    expect([...values.subarray(4)]).toEqual([127, -127]);
    for (const scale of scales) expect(scale > 0 && Number.isFinite(scale)).toBe(true);
  });
});

describe('k-means', () => {
  it.each([1, 2])('finds what brute force finds on small sets of %i coordinates', (width) => {
    const reached: boolean[] = [];
    for (let seed = 1; seed <= 8; seed++) {
      const values = noise(7 * width, seed + 20);
      const weights = noise(7 * width, seed + 40).map((v) => 1.5 + v);
      const least = bruteForce(values, weights, width, 3);
      let best = Infinity;
      for (let start = 0; start < 60 && best > least + 1e-6; start++) {
        const { centroids } = kMeans(values, weights, { k: 3, width, random: seededRandom(seed, start) });
        const loss = total(assign({ values, weights, width }, centroids).losses);
        expect(loss).toBeGreaterThanOrEqual(least - 1e-6);
        best = Math.min(best, loss);
      }
      reached.push(best <= least + 1e-6);
    }
    // Lloyd's iteration ends in local minima; of many starts one is the best there is.
    expect(reached).not.toContain(false);
  });

  it.each([1, 2, 3])('assigns every vector of %i coordinates to the centroid that is nearest of all', (width) => {
    const values = noise(500 * width, 9);
    const weights = noise(500 * width, 11).map((v) => 1.2 + v);
    const { centroids, indices } = kMeans(values, weights, { k: 40, width, random: seededRandom(3) });
    for (let i = 0; i < 500; i++) {
      const distances = Array.from({ length: 40 }, (_, c) => {
        let sum = 0;
        for (let e = 0; e < width; e++)
          sum += (weights[i * width + e] ?? 0) * ((values[i * width + e] ?? 0) - (centroids[c * width + e] ?? 0)) ** 2;
        return sum;
      });
      expect(distances[indices[i] ?? -1]).toBe(Math.min(...distances));
    }
  });

  it('is exact for as many centroids as there are different numbers, and the same for the same seed', () => {
    const values = Float32Array.from({ length: 300 }, (_, i) => (i * 7) % 10);
    const run = () => kMeans(values, ones(300), { k: 16, width: 1, random: seededRandom(5) });
    const { centroids, indices } = run();
    expect(indices.every((c, i) => centroids[c] === values[i])).toBe(true);
    expect(run()).toEqual({ centroids, indices });
  });

  it('refuses what makes no sense', () => {
    const options = { k: 2, width: 2, random: seededRandom(1) };
    expect(() => kMeans(new Float32Array(3), ones(3), options)).toThrow(RangeError);
    expect(() => kMeans(new Float32Array(4), ones(4), { ...options, k: 257 })).toThrow(RangeError);
    expect(() => kMeans(new Float32Array(0), ones(0), options)).toThrow(RangeError);
  });
});

describe('the importance of weights', () => {
  it('is the energy of the input that a weight reads, in groups too', () => {
    // [4 rows, 2 inputs, 3 taps], two groups of two rows
    const layout = { rows: 4, rowStride: 6, inputs: 2, inputStride: 3, groups: 2 };
    const result = importances(layout, 24, Float32Array.of(1, 2, 3, 4));
    expect([...result]).toEqual([1, 2, 1, 2, 3, 4, 3, 4].flatMap((v) => [v, v, v]));
    expect([...importances(layout, 24, null)]).toEqual([...ones(24)]);
  });

  it('is never nothing', () => {
    expect(importances(rows(1, 2), 2, Float32Array.of(0, 8))[0]).toBeGreaterThan(0);
    expect(importances(rows(1, 2), 2, Float32Array.of(0, 0))[0]).toBeGreaterThan(0);
  });
});
