import type { Activation } from '../../models/activation.js';
import type { ActivationLanes } from './activation-lanes.js';
import type { Lanes } from './kernel.js';
import { smoothCurve } from './smooth-lanes.js';
import { costOf } from './z-step-lanes.js';

/** Cells of the bracket, as in `prox/search.ts`. */
const CELLS = 16;
/** Gauss-Newton steps from the best point of the scan. */
const REFINEMENTS = 6;
/** What is left of a step that does not descend. */
const SHORTER = 0.25;
/** A step that is worse by no more than rounding is no worse. */
const SLACK = 1 - 2 ** -20;

/**
 * The Z-step of `prox/search.ts` without branches: all points of the scan, then a fixed number of Gauss-Newton steps
 * from the best one, each of which is taken where it descends and shortened where it does not.
 */
export function searchLanes(activation: Activation): ActivationLanes | null {
  const found = smoothCurve(activation);
  if (found === null) return null;
  const { curve, monotone } = found;
  const first = monotone ? 0 : -CELLS / 2;
  return {
    at: curve,
    step(k, y, v) {
      const rho = k.scalar(0);
      const costAt = (x: Lanes, value: Lanes): { cost: Lanes; gap: Lanes; move: Lanes } => {
        const gap = k.sub(y, value);
        const move = k.sub(x, v);
        return { cost: costOf(k, { gap, move }), gap, move };
      };
      const start = k.sub(y, curve(k, v).value);
      // Signed: a monotone activation comes closer to y on this side only.
      const cell = k.mul(start, k.scalar(1));
      let x = v;
      let best = k.mul(start, start);
      for (let c = first; c <= first + CELLS; c++) {
        if (c === 0) continue;
        const candidate = k.add(v, k.mul(k.constant(c), cell));
        const { cost } = costAt(candidate, curve(k, candidate).value);
        const better = k.less(cost, best);
        x = k.select(better, candidate, x);
        best = k.select(better, cost, best);
      }
      const longest = k.absolute(cell);
      const shortest = k.sub(k.constant(0), longest);
      let here = curve(k, x);
      let pace = k.constant(1);
      for (let n = 0; n < REFINEMENTS; n++) {
        const { gap, move } = costAt(x, here.value);
        const descent = k.sub(k.mul(gap, here.slope), k.mul(rho, move));
        const whole = k.divide(descent, k.add(k.mul(here.slope, here.slope), rho));
        const candidate = k.add(x, k.mul(pace, k.min(k.max(whole, shortest), longest)));
        const there = curve(k, candidate);
        const { cost } = costAt(candidate, there.value);
        const better = k.less(k.mul(cost, k.constant(SLACK)), best);
        x = k.select(better, candidate, x);
        best = k.select(better, cost, best);
        here = {
          value: k.select(better, there.value, here.value),
          slope: k.select(better, there.slope, here.slope),
        };
        pace = k.select(better, k.constant(1), k.mul(pace, k.constant(SHORTER)));
      }
      return x;
    },
    stepScalars: (rho) => [rho, 1 / ((first + CELLS) * Math.sqrt(rho))],
  };
}
