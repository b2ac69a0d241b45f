import type { ZStep } from './step.js';

/**
 * r(z) = z for z > 0, alpha z else: on each half-line the minimiser of a parabola, clamped to it; then the better one.
 */
export function leakyReluStep(alpha: number): ZStep {
  return (y, v, rho, out) => {
    const scale = 1 / (1 + rho);
    const scaleMinus = 1 / (alpha * alpha + rho);
    for (let i = 0; i < y.length; i++) {
      const yi = y[i];
      const vi = v[i];
      const plus = Math.max(0, (yi + rho * vi) * scale);
      const minus = Math.min(0, (alpha * yi + rho * vi) * scaleMinus);
      const costPlus = (yi - plus) ** 2 + rho * (plus - vi) ** 2;
      const costMinus = (yi - alpha * minus) ** 2 + rho * (minus - vi) ** 2;
      out[i] = costPlus <= costMinus ? plus : minus;
    }
  };
}
