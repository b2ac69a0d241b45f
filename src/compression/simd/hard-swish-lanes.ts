import { LOWEST_AT, REACH } from '../prox/hard-swish.js';
import type { ActivationLanes } from './activation-lanes.js';
import type { Kernel, Lanes } from './kernel.js';
import { hardSwishCurve } from './smooth-lanes.js';
import { costOf, weightedMean } from './z-step-lanes.js';

/** From where they begin, so many are as near as single floats come. */
const NEWTON_STEPS = 5;

/** The best of four branches, as in `prox/hard-swish.ts`. */
export const hardSwish: ActivationLanes = {
  at: hardSwishCurve,
  step(k, y, v) {
    const shifted = k.sub(v, k.constant(LOWEST_AT));
    const squared = k.add(k.mul(k.constant(6), y), k.constant(2.25));
    const p = k.sub(k.scalar(2), squared);
    const q = k.mul(k.scalar(2), shifted);
    let z = k.min(v, k.constant(-3));
    let best = costOf(k, { gap: y, move: k.sub(z, v) });
    const consider = (candidate: Lanes, gap: Lanes): void => {
      const cost = costOf(k, { gap, move: k.sub(candidate, v) });
      const better = k.less(cost, best);
      z = k.select(better, candidate, z);
      best = k.select(better, cost, best);
    };
    const above = k.max(weightedMean(k, y, v), k.constant(3));
    consider(above, k.sub(y, above));
    const zero = k.constant(0);
    const right = largestRoot(k, p, q);
    const left = k.sub(zero, k.min(largestRoot(k, p, k.sub(zero, q)), k.constant(REACH.left)));
    for (const t of [right, left]) {
      const gap = k.mul(k.sub(squared, k.mul(t, t)), k.constant(1 / 6));
      consider(k.add(t, k.constant(LOWEST_AT)), gap);
    }
    return z;
  },
  stepScalars: (rho) => [rho, 1 / (1 + rho), 18 * rho],
};

/** Of t³ + p t = q, within the reach of the parabola. */
function largestRoot(k: Kernel, p: Lanes, q: Lanes): Lanes {
  const [zero, most] = [k.constant(0), k.constant(REACH.right)];
  const positive = k.max(q, zero);
  const below = k.max(k.sub(zero, p), zero);
  const lowest = k.sqrt(k.mul(below, k.constant(1 / 3)));
  // No smaller than the cube root of q, and without p < 0 no smaller than q / p, where the cubic is nearly a line.
  const root = k.sqrt(positive);
  const curved = k.add(k.sqrt(below), k.max(k.sqrt(root), root));
  const straight = k.select(k.greater(p, zero), k.divide(positive, p), most);
  let t = k.min(most, k.min(curved, straight));
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const square = k.mul(t, t);
    const slope = k.max(k.add(k.mul(k.constant(3), square), p), k.constant(1e-12));
    const rest = k.sub(k.mul(t, k.add(square, p)), q);
    t = k.min(most, k.max(lowest, k.sub(t, k.divide(rest, slope))));
  }
  return t;
}
