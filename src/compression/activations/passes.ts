import type { Activation } from '../../models/activation.js';
import { activationFunction, applyActivation } from '../prox/activation-function.js';
import {
  addInto,
  dualUpdate,
  reluLoss,
  subtractInto,
  type IterationArrays,
  type IterationSums,
} from './elementwise.js';
import { zStep } from '../prox/z-step.js';

export interface SplitArrays {
  y: Float32Array;
  f: Float32Array;
  u: Float32Array;
  rho: number;
  /** Results. */
  z: Float32Array;
  target: Float32Array;
}

export interface DualArrays extends IterationArrays {
  y: Float32Array;
}

export interface MajorizeArrays {
  y: Float32Array;
  f: Float32Array;
  previous: Float32Array;
  momentum: number;
  /** Result. */
  target: Float32Array;
}

/** What the iterations do elementwise with an activation r. All arrays of a call are of one length. */
export interface Passes {
  /** z = argmin (y - r(z))²/2 + rho (z - f + u)²/2, and target = z + u */
  split(arrays: SplitArrays): void;
  /** u = target - next, the squared norms that `dualUpdate` gives, and || y - r(next) ||² */
  dual(arrays: DualArrays): IterationSums & { loss: number };
  /** r(z) */
  values(z: Float32Array): Float32Array;
  /** || y - r(z) ||² */
  loss(y: Float32Array, z: Float32Array): number;
  /** target = e + (y - r(e)) r'(e) at the extrapolated e = f + momentum (f - previous) */
  majorize(arrays: MajorizeArrays): void;
}

/** Plain loops: what the vector instructions are held against, for any activation. */
export function plainPasses(activation: Activation): Passes {
  const { step } = zStep(activation);
  const { value, slope } = activationFunction(activation);
  const loss = (y: Float32Array, z: Float32Array): number => {
    if (activation.kind === 'relu') return reluLoss(y, z);
    let sum = 0;
    for (let i = 0; i < y.length; i++) {
      const gap = y[i] - value(z[i]);
      sum += gap * gap;
    }
    return sum;
  };
  return {
    split({ y, f, u, rho, z, target }) {
      subtractInto(f, u, target);
      step(y, target, rho, z);
      addInto(z, u, target);
    },
    values: (z) => applyActivation(activation, z),
    dual: ({ y, ...arrays }) => ({ ...dualUpdate(arrays), loss: loss(y, arrays.next) }),
    loss,
    majorize({ y, f, previous, momentum, target }) {
      for (let i = 0; i < target.length; i++) {
        const e = f[i] + momentum * (f[i] - previous[i]);
        target[i] = e + (y[i] - value(e)) * slope(e);
      }
    },
  };
}
