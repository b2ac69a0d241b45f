import { describe, expect, it } from 'vitest';
import { MuonState } from '../../src/compression/index.js';
import { noise } from '../models/graphs.js';

const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));

describe('Muon', () => {
  it('looks one step of the running mean ahead, whatever the size of the gradients', () => {
    const gradients = Array.from({ length: 5 }, (_, i) => noise(12, 40 + i));
    const state = new MuonState(noise(12, 1), [3, 4], 1);
    const large = new MuonState(noise(12, 1), [3, 4], 1);
    const mean = new Float64Array(12);
    for (const gradient of gradients) {
      const ahead = mean.map((m, i) => {
        mean[i] = 0.95 * m + 0.05 * (gradient[i] ?? 0);
        return 0.95 * (mean[i] ?? 0) + 0.05 * (gradient[i] ?? 0);
      });
      const size = Math.hypot(...ahead);
      const found = state.direction(gradient);
      const ofLarge = large.direction(gradient.map((g) => 1e6 * g));
      for (const [i, value] of found.entries()) {
        expect(value).toBeCloseTo((ahead[i] ?? 0) / size, 5);
        expect(ofLarge[i]).toBeCloseTo(value, 5);
      }
      expect(norm(found)).toBeCloseTo(1, 5);
    }
  });

  it('makes steps in proportion to the size of the weights, of any shape', () => {
    for (const [rows, columns] of [
      [4, 4],
      [2, 32],
      [32, 2],
    ] as const) {
      const weights = noise(rows * columns, 3);
      const before = weights.slice();
      const [short, long] = [Math.min(rows, columns), Math.max(rows, columns)];
      // Orthonormal: ones at the diagonal.
      const orthonormal = new Float32Array(rows * columns);
      for (let i = 0; i < short; i++) orthonormal[i * columns + i] = 1;
      new MuonState(weights, [rows, columns], 0.5).step(orthonormal, 0.01);
      const moved = norm(weights.map((w, i) => w - (before[i] ?? 0))) / Math.sqrt(rows * columns);
      expect(moved).toBeCloseTo((0.01 * 0.5 * 0.4 * Math.sqrt(short * long)) / Math.sqrt(rows * columns), 5);
    }
  });

  it('leaves zeros alone: a pattern of a sparse layer stays, and does not turn the others', () => {
    const weights = Float32Array.of(0, 1, 2, 0);
    const state = new MuonState(weights, [2, 2], 1);
    const found = state.direction(Float32Array.of(100, 3, 4, -100));
    for (const [i, value] of [0, 3 / 5, 4 / 5, 0].entries()) expect(found[i]).toBeCloseTo(value, 6);
    state.step(Float32Array.of(1, 1, 1, 1), 0.1);
    expect([weights[0], weights[3]]).toEqual([0, 0]);
    expect(weights[1]).toBeLessThan(1);
    expect(weights[2]).toBeLessThan(2);
  });

  it('stays where it is while every gradient is zero', () => {
    expect([...new MuonState(noise(6, 1), [2, 3], 1).direction(new Float32Array(6))]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('refuses weights and gradients of another size', () => {
    expect(() => new MuonState(new Float32Array(5), [2, 3], 1)).toThrow(RangeError);
    expect(() => new MuonState(new Float32Array(6), [2, 3], 1).direction(new Float32Array(5))).toThrow(RangeError);
  });
});
