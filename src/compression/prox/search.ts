import type { Activation } from '../../models/activation.js';
import { activationFunction } from '../activation-function.js';
import type { ZStep } from './z-step.js';

/** Cells of the bracket that are compared before the best is refined. */
const CELLS = 10;
const REFINEMENTS = 6;

/**
 * Any activation. The minimiser z* is no worse than v, so rho (z* - v)² <= (y - r(v))²: a bracket of known size around v, of
 * which only the side that moves r towards y counts when r is monotone. The bracket is scanned, as the function may have two
 * valleys, then the best cell is refined by Gauss-Newton steps that are halved until they descend.
 */
export function searchStep(activation: Activation): ZStep {
  const { value, slope, monotone } = activationFunction(activation);
  return (y, v, rho, out) => {
    for (let i = 0; i < y.length; i++) {
      const yi = y[i] as number;
      const vi = v[i] as number;
      const gap = yi - value(vi);
      const reach = Math.abs(gap) / Math.sqrt(rho);
      const from = monotone && gap > 0 ? vi : vi - reach;
      const to = monotone && gap < 0 ? vi : vi + reach;
      const cell = (to - from) / CELLS;
      let z = vi;
      let best = (gap * gap) / 2;
      for (let c = 0; c <= CELLS; c++) {
        const candidate = from + c * cell;
        const cost = (yi - value(candidate)) ** 2 / 2 + (rho * (candidate - vi) ** 2) / 2;
        if (cost < best) {
          best = cost;
          z = candidate;
        }
      }
      for (let k = 0; k < REFINEMENTS; k++) {
        const r = slope(z);
        let step = ((yi - value(z)) * r - rho * (z - vi)) / (r * r + rho);
        step = Math.min(cell, Math.max(-cell, step));
        if (Math.abs(step) <= 1e-7 * (1 + Math.abs(z))) break;
        for (let halving = 0; halving < 8; halving++, step /= 2) {
          const cost = (yi - value(z + step)) ** 2 / 2 + (rho * (z + step - vi) ** 2) / 2;
          if (cost < best) {
            best = cost;
            z += step;
            break;
          }
        }
      }
      out[i] = z;
    }
  };
}
