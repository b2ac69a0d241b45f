import type { Matrix } from '../../engines/index.js';

/**
 * The fused passes of one ADMM iteration. Plain functions: inside an async one the same loops ran at half the speed.
 */

/** out = f - u */
export function subtractInto(f: Float32Array, u: Float32Array, out: Float32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = f[i] - u[i];
}

/** out = z + u */
export function addInto(z: Float32Array, u: Float32Array, out: Float32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = z[i] + u[i];
}

export interface IterationSums {
  primal: number;
  dual: number;
  z: number;
  f: number;
  u: number;
}

export interface IterationArrays {
  z: Float32Array;
  previous: Float32Array;
  next: Float32Array;
  target: Float32Array;
  /** Result. */
  u: Float32Array;
}

/** u = target - next, and the squared norms of the residuals z - next and next - previous, of z, of next and of u. */
export function dualUpdate({ z, previous, next, target, u }: IterationArrays): IterationSums {
  let primal = 0;
  let dual = 0;
  let sumZ = 0;
  let sumF = 0;
  let sumU = 0;
  for (let i = 0; i < u.length; i++) {
    const g = next[i];
    const zi = z[i];
    const ui = target[i] - g;
    const r = zi - g;
    const s = g - previous[i];
    u[i] = ui;
    primal += r * r;
    dual += s * s;
    sumZ += zi * zi;
    sumF += g * g;
    sumU += ui * ui;
  }
  return { primal, dual, z: sumZ, f: sumF, u: sumU };
}

/** || y - max(z, 0) ||², with max(z, 0) as (z + |z|)/2: exact, and without a jump that depends on the data. */
export function reluLoss(y: Float32Array, z: Float32Array): number {
  let even = 0;
  let odd = 0;
  const pairs = y.length & ~1;
  for (let i = 0; i < pairs; i += 2) {
    const a = z[i];
    const b = z[i + 1];
    const first = y[i] - (a + Math.abs(a)) * 0.5;
    const second = y[i + 1] - (b + Math.abs(b)) * 0.5;
    even += first * first;
    odd += second * second;
  }
  if (pairs < y.length) {
    const a = z[pairs];
    const last = y[pairs] - (a + Math.abs(a)) * 0.5;
    even += last * last;
  }
  return even + odd;
}

/** a *= factor */
export function scaleInPlace(a: Float32Array, factor: number): void {
  for (let i = 0; i < a.length; i++) a[i] = a[i] * factor;
}

/** k = k / samples + pull */
export function scaleAndAdd(k: Matrix, samples: number, pull: Float32Array): void {
  const { data } = k;
  for (let i = 0; i < data.length; i++) data[i] = data[i] / samples + pull[i];
}
