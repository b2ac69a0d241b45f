import { describe, expect, it } from 'vitest';
import { activationFunction, applyActivation } from '../../src/compression/prox/activation-function.js';
import { topGroups } from '../../src/compression/sparse/projections/top-groups.js';
import { zStep } from '../../src/compression/prox/z-step.js';
import { seededRandom } from '../../src/compression/linalg/random.js';
import { ACTIVATIONS, label } from './activations.js';

const CASES = 300;

describe.each(ACTIVATIONS.map((activation) => ({ activation, name: label(activation) })))('$name', ({ activation }) => {
  const { value, slope, monotone } = activationFunction(activation);

  it('has a Z-step as good as the best point of a fine grid', () => {
    const random = seededRandom(3);
    for (const rho of [0.05, 1, 20]) {
      const y = new Float32Array(CASES).map(() => value((random() - 0.4) * 10));
      const v = new Float32Array(CASES).map(() => (random() - 0.5) * 12);
      const z = new Float32Array(CASES);
      zStep(activation).step(y, v, rho, z);
      for (let i = 0; i < CASES; i++) {
        const yi = y[i] ?? NaN;
        const vi = v[i] ?? NaN;
        const cost = (x: number): number => (yi - value(x)) ** 2 / 2 + (rho * (x - vi) ** 2) / 2;
        let best = Infinity;
        const reach = Math.abs(yi - value(vi)) / Math.sqrt(rho);
        for (let g = 0; g <= 4000; g++) best = Math.min(best, cost(vi + reach * (g / 2000 - 1)));
        // The grid is at most 1/4000 of the bracket away from the minimum; the step may only be better.
        expect(cost(z[i] ?? NaN), `y ${yi} v ${vi} rho ${rho}`).toBeLessThanOrEqual(best * (1 + 1e-3) + 1e-6);
      }
    }
  });

  it('has the slope of its value', () => {
    const random = seededRandom(5);
    const step = 1e-4;
    for (let i = 0; i < 200; i++) {
      const x = (random() - 0.5) * 10;
      const left = (value(x) - value(x - step)) / step;
      const right = (value(x + step) - value(x)) / step;
      // At a kink only one side counts.
      if (Math.abs(left - right) < 1e-2) expect(slope(x)).toBeCloseTo((left + right) / 2, 2);
    }
  });

  it('is monotone where it says so', () => {
    if (!monotone) return;
    for (let x = -8; x < 8; x += 0.01) expect(value(x + 0.01)).toBeGreaterThanOrEqual(value(x));
  });

  it('is applied elementwise', () => {
    const z = Float32Array.from([-7, -1, -0.25, 0, 0.25, 1, 7]);
    const expected = Float32Array.from(z, (x) => value(x));
    expect(applyActivation(activation, z)).toEqual(expected);
  });
});

it('finds the lowest of the valleys of hard swish, however flat or steep', () => {
  const step = zStep({ kind: 'hard_swish' });
  const { value } = activationFunction({ kind: 'hard_swish' });
  expect(step.note).toContain('exact');
  const random = seededRandom(9);
  for (const rho of [1e-4, 0.01, 0.3, 1, 40, 1e4]) {
    const y = Float32Array.from({ length: CASES }, () => (random() - 0.2) * 8);
    const v = Float32Array.from({ length: CASES }, () => (random() - 0.5) * 16);
    const z = new Float32Array(CASES);
    step.step(y, v, rho, z);
    for (let i = 0; i < CASES; i++) {
      const cost = (x: number): number => ((y[i] ?? NaN) - value(x)) ** 2 + rho * (x - (v[i] ?? NaN)) ** 2;
      let best = Infinity;
      for (let x = -12; x <= 12; x += 1 / 256) best = Math.min(best, cost(x));
      expect(cost(z[i] ?? NaN), `y ${y[i]} v ${v[i]} rho ${rho}`).toBeLessThanOrEqual(best * (1 + 1e-6) + 1e-9);
    }
  }
});

it('matches known values of the activations', () => {
  const at = (kind: 'silu' | 'softplus' | 'tanh', x: number): number => activationFunction({ kind }).value(x);
  expect(at('silu', 1)).toBeCloseTo(0.7310586, 6);
  expect(at('softplus', 0)).toBeCloseTo(Math.LN2, 12);
  expect(at('softplus', 800)).toBe(800);
  expect(activationFunction({ kind: 'gelu', approximate: false }).value(1)).toBeCloseTo(0.8413447, 6);
  expect(activationFunction({ kind: 'gelu', approximate: true }).value(1)).toBeCloseTo(0.841192, 6);
  expect(activationFunction({ kind: 'sigmoid' }).value(-800)).toBe(0);
});

it('projects on the groups with the largest scores, the lower index first among equals', () => {
  expect(topGroups([3, 9, 1, 9, 9], 2)).toEqual([1, 3]);
  expect(topGroups([3, 9, 1], 5)).toEqual([0, 1, 2]);
});
