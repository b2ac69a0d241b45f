import type { Activation } from '../../models/activation.js';
import { plainPasses, type Passes } from '../activations/passes.js';
import { vectorPasses } from './activation-kernels.js';

/**
 * In vector instructions where the activation has them, else plainly. The latter are in double precision between their
 * loads and stores, the former in single; both sum up in double precision.
 */
export function passesOf(activation: Activation): Passes {
  return vectorPasses(activation) ?? plainPasses(activation);
}
