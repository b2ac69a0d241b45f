import type { Activation } from '../models/activation.js';
import { activationFunction } from './activation-function.js';

/** || y - r(z) ||² */
export function activatedLoss(activation: Activation, y: Float32Array, z: Float32Array): number {
  if (activation.kind === 'relu') return reluLoss(y, z);
  let sum = 0;
  const { value } = activationFunction(activation);
  for (let i = 0; i < y.length; i++) {
    const gap = (y[i] as number) - value(z[i] as number);
    sum += gap * gap;
  }
  return sum;
}

/** max(z, 0) as (z + |z|)/2: exact, and without a jump that depends on the data. */
function reluLoss(y: Float32Array, z: Float32Array): number {
  let even = 0;
  let odd = 0;
  const pairs = y.length & ~1;
  for (let i = 0; i < pairs; i += 2) {
    const a = z[i] as number;
    const b = z[i + 1] as number;
    const first = (y[i] as number) - (a + Math.abs(a)) * 0.5;
    const second = (y[i + 1] as number) - (b + Math.abs(b)) * 0.5;
    even += first * first;
    odd += second * second;
  }
  if (pairs < y.length) {
    const a = z[pairs] as number;
    const last = (y[pairs] as number) - (a + Math.abs(a)) * 0.5;
    even += last * last;
  }
  return even + odd;
}

/** Share of the energy that is lost; 0 of 0 is 0. */
export function relative(loss: number, energy: number): number {
  if (loss === 0) return 0;
  return energy > 0 ? loss / energy : Infinity;
}
