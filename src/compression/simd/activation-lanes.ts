import type { Activation } from '../../models/activation.js';
import { hardSwish } from './hard-swish-lanes.js';
import type { Kernel, Lanes } from './kernel.js';
import { searchLanes } from './search-lanes.js';
import type { ValueAndSlope } from './smooth-lanes.js';
import { costOf, weightedMean } from './z-step-lanes.js';

/** An activation r, and its Z-step (see `prox/step.ts`), in lanes. */
export interface ActivationLanes {
  at: (k: Kernel, z: Lanes) => ValueAndSlope;
  step: (k: Kernel, y: Lanes, v: Lanes) => Lanes;
  /** The scalars that `step` reads: rho first. */
  stepScalars(rho: number): number[];
}

const identity: ActivationLanes = {
  at: (k, z) => ({ value: z, slope: k.constant(1) }),
  step: weightedMean,
  stepScalars: (rho) => [rho, 1 / (1 + rho)],
};

/** The side of zero is decided as in `prox/relu.ts`. */
const relu: ActivationLanes = {
  at: (k, z) => ({
    value: k.max(z, k.constant(0)),
    slope: k.where(k.greater(z, k.constant(0)), k.constant(1)),
  }),
  step(k, y, v) {
    const zero = k.constant(0);
    const side = k.add(v, k.mul(k.scalar(2), k.max(y, zero)));
    return k.select(k.less(side, zero), v, k.max(weightedMean(k, y, v), zero));
  },
  stepScalars: (rho) => [rho, 1 / (1 + rho), Math.sqrt((1 + rho) / rho) - 1],
};

/** (y - r)² + rho (z - v)² */
function cost(k: Kernel, { y, r, z, v }: Record<'y' | 'r' | 'z' | 'v', Lanes>): Lanes {
  return costOf(k, { gap: k.sub(y, r), move: k.sub(z, v) });
}

/** The best of three branches, as in `prox/clip.ts`. */
function clip(min: number, max: number): ActivationLanes {
  const clamped = (k: Kernel, z: Lanes): Lanes => k.min(k.max(z, k.constant(min)), k.constant(max));
  return {
    at(k, z) {
      const inside = k.both(k.greater(z, k.constant(min)), k.less(z, k.constant(max)));
      return { value: clamped(k, z), slope: k.where(inside, k.constant(1)) };
    },
    step(k, y, v) {
      let z = clamped(k, weightedMean(k, y, v));
      let best = cost(k, { y, r: z, z, v });
      const consider = (border: Lanes, branch: Lanes): void => {
        const own = cost(k, { y, r: border, z: branch, v });
        const better = k.less(own, best);
        z = k.select(better, branch, z);
        best = k.select(better, own, best);
      };
      if (min > -Infinity) consider(k.constant(min), k.min(v, k.constant(min)));
      if (max < Infinity) consider(k.constant(max), k.max(v, k.constant(max)));
      return z;
    },
    stepScalars: (rho) => [rho, 1 / (1 + rho)],
  };
}

/** The better of two branches, as in `prox/leaky-relu.ts`. */
function leakyRelu(alpha: number): ActivationLanes {
  return {
    at(k, z) {
      const positive = k.greater(z, k.constant(0));
      const slope = k.constant(alpha);
      return { value: k.select(positive, z, k.mul(slope, z)), slope: k.select(positive, k.constant(1), slope) };
    },
    step(k, y, v) {
      const zero = k.constant(0);
      const slope = k.constant(alpha);
      const plus = k.max(weightedMean(k, y, v), zero);
      const inner = k.add(k.mul(slope, y), k.mul(k.scalar(0), v));
      const minus = k.min(k.mul(inner, k.scalar(2)), zero);
      const costPlus = cost(k, { y, r: plus, z: plus, v });
      const costMinus = cost(k, { y, r: k.mul(slope, minus), z: minus, v });
      return k.select(k.lessOrEqual(costPlus, costMinus), plus, minus);
    },
    stepScalars: (rho) => [rho, 1 / (1 + rho), 1 / (alpha * alpha + rho)],
  };
}

/** The lanes of an activation; null for those that have none. */
export function activationLanes(activation: Activation): ActivationLanes | null {
  switch (activation.kind) {
    case 'identity':
      return identity;
    case 'relu':
      return relu;
    case 'clip':
      return clip(activation.min, activation.max);
    case 'leaky_relu':
      return leakyRelu(activation.alpha);
    case 'hard_swish':
      return hardSwish;
    default:
      return searchLanes(activation);
  }
}
