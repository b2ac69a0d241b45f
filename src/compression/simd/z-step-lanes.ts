import type { Kernel, Lanes } from './kernel.js';

/** gap² + rho move², rho the first scalar: what a Z-step minimises, of gap = y - r(z) and move = z - v. */
export function costOf(k: Kernel, { gap, move }: Record<'gap' | 'move', Lanes>): Lanes {
  return k.add(k.mul(gap, gap), k.mul(k.scalar(0), k.mul(move, move)));
}

/** (y + rho v) / (1 + rho), by the first two scalars rho and 1 / (1 + rho): the minimiser where r(z) = z. */
export function weightedMean(k: Kernel, y: Lanes, v: Lanes): Lanes {
  return k.mul(k.add(y, k.mul(k.scalar(0), v)), k.scalar(1));
}
