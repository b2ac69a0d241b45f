import type { Activation } from '../../models/activation.js';
import { activationFunction } from './activation-function.js';
import type { ZStep } from './step.js';

/** Cells of the bracket that are compared before the valleys are refined. */
const CELLS = 16;
const REFINEMENTS = 8;
const HALVINGS = 8;

/**
 * Any activation. The minimiser z* is no worse than v, so rho (z* - v)² <= (y - r(v))²: a bracket of known size around
 * v, of which only the side that moves r towards y counts when r is monotone. The bracket is scanned, as the function
 * may have more than one valley; every valley of the scan is refined by Gauss-Newton steps that are halved until they
 * descend.
 */
export function searchStep(activation: Activation): ZStep {
  const { value, slope, monotone } = activationFunction(activation);
  const costs = new Float64Array(CELLS + 1);
  return (y, v, rho, out) => {
    for (let i = 0; i < y.length; i++) {
      const yi = y[i];
      const vi = v[i];
      const gap = yi - value(vi);
      const reach = Math.abs(gap) / Math.sqrt(rho);
      const from = monotone && gap > 0 ? vi : vi - reach;
      const to = monotone && gap < 0 ? vi : vi + reach;
      const cell = (to - from) / CELLS;
      let z = vi;
      let best = (gap * gap) / 2;
      if (cell <= 1e-7 * (1 + Math.abs(vi))) {
        out[i] = z;
        continue;
      }
      for (let c = 0; c <= CELLS; c++) {
        const x = from + c * cell;
        const miss = yi - value(x);
        costs[c] = (miss * miss + rho * (x - vi) * (x - vi)) / 2;
      }
      for (let c = 0; c <= CELLS; c++) {
        const here = costs[c];
        if (c > 0 && costs[c - 1] < here) continue;
        if (c < CELLS && costs[c + 1] < here) continue;
        let x = from + c * cell;
        let cost = here;
        for (let k = 0; k < REFINEMENTS; k++) {
          const r = slope(x);
          let step = ((yi - value(x)) * r - rho * (x - vi)) / (r * r + rho);
          step = Math.min(cell, Math.max(-cell, step));
          if (Math.abs(step) <= 1e-6 * (1 + Math.abs(x))) break;
          let descended = false;
          for (let halving = 0; halving < HALVINGS && !descended; halving++) {
            const miss = yi - value(x + step);
            const next = (miss * miss + rho * (x + step - vi) * (x + step - vi)) / 2;
            descended = next < cost;
            if (descended) {
              cost = next;
              x += step;
            } else step /= 2;
          }
          if (!descended) break;
        }
        if (cost < best) {
          best = cost;
          z = x;
        }
      }
      out[i] = z;
    }
  };
}
