import { describe, expect, it } from 'vitest';
import { AdamState } from '../../src/compression/index.js';
import { noise } from '../models/graphs.js';

/** Algorithm 1 of Kingma and Ba as it stands there, in double precision. */
function reference(start: Float32Array, gradients: readonly Float32Array[], alpha: number): Float64Array {
  const theta = Float64Array.from(start);
  const m = new Float64Array(start.length);
  const v = new Float64Array(start.length);
  for (const [t, g] of gradients.entries()) {
    for (let i = 0; i < theta.length; i++) {
      const gi = g[i] ?? 0;
      m[i] = 0.9 * (m[i] ?? 0) + 0.1 * gi;
      v[i] = 0.999 * (v[i] ?? 0) + 0.001 * gi * gi;
      const mean = (m[i] ?? 0) / (1 - 0.9 ** (t + 1));
      const square = (v[i] ?? 0) / (1 - 0.999 ** (t + 1));
      theta[i] = (theta[i] ?? 0) - (alpha * mean) / (Math.sqrt(square) + 1e-8);
    }
  }
  return theta;
}

describe('Adam', () => {
  it('makes the steps of the paper, in units of the size of the weights', () => {
    const weights = noise(50, 3);
    const gradients = Array.from({ length: 40 }, (_, i) => noise(50, 100 + i));
    const wanted = reference(weights, gradients, 0.01 * 0.25);
    const state = new AdamState(weights, 0.25);
    for (const gradient of gradients) state.step(gradient, 0.01);
    for (const [i, value] of weights.entries()) expect(Math.abs(value - (wanted[i] ?? 0))).toBeLessThan(1e-5);
  });

  it('goes down a quadratic', () => {
    const weights = Float32Array.of(3, -2, 1);
    const state = new AdamState(weights, 1);
    for (let i = 0; i < 2000; i++)
      state.step(
        weights.map((w, j) => (j + 1) * (w - 0.5)),
        0.01,
      );
    for (const w of weights) expect(w).toBeCloseTo(0.5, 2);
  });

  it('leaves zeros alone: a pattern of a sparse layer stays', () => {
    const weights = Float32Array.of(0, 1, 0, -1);
    new AdamState(weights, 1).step(Float32Array.of(1, 1, -1, 1), 0.1);
    expect([weights[0], weights[2]]).toEqual([0, 0]);
    expect(weights[1]).toBeCloseTo(0.9);
    expect(weights[3]).toBeCloseTo(-1.1);
  });

  it('refuses a gradient of another length', () => {
    expect(() => {
      new AdamState(new Float32Array(3), 1).step(new Float32Array(4), 1);
    }).toThrow(RangeError);
  });
});
