import type { ZStep } from './step.js';

/** Where r(z) = z (z + 3) / 6 has its lowest point; from there it is t = z + 1.5 that counts: r = (t² - 2.25) / 6. */
export const LOWEST_AT = -1.5;
/** The parabola reaches from -3 to 3. */
export const REACH = { left: 1.5, right: 4.5 } as const;
const NEWTON_STEPS = 40;

/**
 * r(z) is 0 below -3 and z above 3, where the minimiser is that of a parabola, clamped. Between them, with t = z + 1.5 and a = 6 y + 2.25, it is a
 * root of t³ + (18 rho - a) t = 18 rho (v + 1.5): the largest on the right of t = 0, or, mirrored, on the left. The best of the four is taken.
 */
export const hardSwishStep: ZStep = (y, v, rho, out) => {
  for (let i = 0; i < y.length; i++) {
    const yi = y[i];
    const vi = v[i];
    const linear = 18 * rho - 6 * yi - 2.25;
    const constant = 18 * rho * (vi - LOWEST_AT);
    let z = Math.min(vi, -3);
    let best = yi ** 2 + rho * (z - vi) ** 2;
    const consider = (candidate: number, value: number): void => {
      const cost = (yi - value) ** 2 + rho * (candidate - vi) ** 2;
      if (cost < best) [best, z] = [cost, candidate];
    };
    const above = Math.max(3, (yi + rho * vi) / (1 + rho));
    consider(above, above);
    const right = Math.min(REACH.right, largestRoot(linear, constant));
    const left = -Math.min(REACH.left, largestRoot(linear, -constant));
    for (const t of [right, left]) consider(t + LOWEST_AT, (t * t - 2.25) / 6);
    out[i] = z;
  }
};

/**
 * The largest root t >= 0 of t³ + p t = q, by Newton's steps from above, where the cubic is convex: they never pass it. Where there is none, the
 * cubic's lowest point.
 */
function largestRoot(p: number, q: number): number {
  const lowest = Math.sqrt(Math.max(0, -p / 3));
  let t = Math.sqrt(Math.max(0, -p)) + Math.cbrt(Math.max(0, q));
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const slope = 3 * t * t + p;
    if (slope <= 0) return lowest;
    const next = Math.max(lowest, t - (t * (t * t + p) - q) / slope);
    if (next >= t) return t;
    t = next;
  }
  return t;
}
