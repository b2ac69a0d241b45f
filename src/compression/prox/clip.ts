import type { ZStep } from './step.js';

/**
 * r(z) = slope * clamp(z, low, high) + offset, slope > 0. Below `low` and above `high` r is constant, so that the
 * minimiser is v or the border; between them it is that of a parabola, clamped. The best of the three is taken. An
 * infinite border has no branch.
 */
export function clipStep(low: number, high: number, slope: number, offset: number): ZStep {
  return (y, v, rho, out) => {
    const scale = 1 / (slope * slope + rho);
    for (let i = 0; i < y.length; i++) {
      const yi = y[i] - offset;
      const vi = v[i];
      let z = Math.min(high, Math.max(low, (slope * yi + rho * vi) * scale));
      let best = (yi - slope * z) ** 2 + rho * (z - vi) ** 2;
      if (low > -Infinity) {
        const below = Math.min(low, vi);
        const cost = (yi - slope * low) ** 2 + rho * (below - vi) ** 2;
        if (cost < best) {
          best = cost;
          z = below;
        }
      }
      if (high < Infinity) {
        const above = Math.max(high, vi);
        if ((yi - slope * high) ** 2 + rho * (above - vi) ** 2 < best) z = above;
      }
      out[i] = z;
    }
  };
}
