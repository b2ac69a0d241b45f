import type { Activation } from '../../models/activation.js';
import { passesOf } from '../simd/passes-of.js';

/** r(z), elementwise. */
export function activated(activation: Activation, z: Float32Array): Float32Array {
  return passesOf(activation).values(z);
}

/** || y - r(z) ||² */
export function activatedLoss(activation: Activation, y: Float32Array, z: Float32Array): number {
  return passesOf(activation).loss(y, z);
}

/** Share of the energy that is lost; 0 of 0 is 0. */
export function relative(loss: number, energy: number): number {
  if (loss === 0) return 0;
  return energy > 0 ? loss / energy : Infinity;
}
