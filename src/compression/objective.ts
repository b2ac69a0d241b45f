import type { Activation } from '../models/activation.js';
import { activationFunction } from './activation-function.js';

/** || y - r(z) ||² */
export function activatedLoss(activation: Activation, y: Float32Array, z: Float32Array): number {
  let sum = 0;
  if (activation.kind === 'relu') {
    for (let i = 0; i < y.length; i++) {
      const zi = z[i] as number;
      const gap = (y[i] as number) - (zi > 0 ? zi : 0);
      sum += gap * gap;
    }
    return sum;
  }
  const { value } = activationFunction(activation);
  for (let i = 0; i < y.length; i++) {
    const gap = (y[i] as number) - value(z[i] as number);
    sum += gap * gap;
  }
  return sum;
}

/** Share of the energy that is lost; 0 of 0 is 0. */
export function relative(loss: number, energy: number): number {
  if (loss === 0) return 0;
  return energy > 0 ? loss / energy : Infinity;
}
