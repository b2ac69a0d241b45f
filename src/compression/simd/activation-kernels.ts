import type { Activation } from '../../models/activation.js';
import type { Passes } from '../activations/passes.js';
import { activationFunction } from '../prox/activation-function.js';
import { activationLanes, type ActivationLanes } from './activation-lanes.js';
import { Kernel } from './kernel.js';
import { compiled, run, runSums } from './run.js';

/** y, f, u -> z, target */
function split({ step }: ActivationLanes): Kernel {
  const k = new Kernel();
  const u = k.load(2);
  const z = step(k, k.load(0), k.sub(k.load(1), u));
  k.store(3, z);
  k.store(4, k.add(z, u));
  return k;
}

/** y, z, previous, next, target -> u, and the sums of `dualUpdate` in its order */
function dual({ at }: ActivationLanes): Kernel {
  const k = new Kernel();
  const z = k.load(1);
  const next = k.load(3);
  const u = k.sub(k.load(4), next);
  k.store(5, u);
  for (const x of [k.sub(z, next), k.sub(next, k.load(2)), z, next, u]) k.sumSquares(x);
  k.sumSquares(k.sub(k.load(0), at(k, next).value));
  return k;
}

/** z -> r(z) */
function values({ at }: ActivationLanes): Kernel {
  const k = new Kernel();
  k.store(1, at(k, k.load(0)).value);
  return k;
}

/** y, z -> the loss */
function loss({ at }: ActivationLanes): Kernel {
  const k = new Kernel();
  k.sumSquares(k.sub(k.load(0), at(k, k.load(1)).value));
  return k;
}

/** y, f, previous -> target */
function majorize({ at }: ActivationLanes): Kernel {
  const k = new Kernel();
  const f = k.load(1);
  const e = k.add(f, k.mul(k.scalar(0), k.sub(f, k.load(2))));
  const { value, slope } = at(k, e);
  k.store(3, k.add(e, k.mul(k.sub(k.load(0), value), slope)));
  return k;
}

function build(activation: Activation): Passes | null {
  const lanes = activationLanes(activation);
  if (lanes === null) return null;
  const kernels = compiled({
    ...{ split: split(lanes), dual: dual(lanes), values: values(lanes) },
    ...{ loss: loss(lanes), majorize: majorize(lanes) },
  });
  if (kernels === null) return null;
  // y = r(0), next = 0: no loss.
  const padding = activationFunction(activation).value(0);
  return {
    split: ({ y, f, u, rho, z, target }) =>
      run(kernels.split, { inputs: [y, f, u], outputs: [z, target], scalars: lanes.stepScalars(rho) }),
    dual({ y, z, previous, next, target, u }) {
      const arrays = { inputs: [y, z, previous, next, target], outputs: [u], padding };
      const [primal = NaN, dual = NaN, sumZ = NaN, sumF = NaN, sumU = NaN, lost = NaN] = runSums(kernels.dual, arrays);
      return { primal, dual, z: sumZ, f: sumF, u: sumU, loss: lost };
    },
    values(z) {
      const out = new Float32Array(z.length);
      run(kernels.values, { inputs: [z], outputs: [out] });
      return out;
    },
    loss: (y, z) => runSums(kernels.loss, { inputs: [y, z], outputs: [], padding })[0] ?? NaN,
    majorize: ({ y, f, previous, momentum, target }) =>
      run(kernels.majorize, { inputs: [y, f, previous], outputs: [target], scalars: [momentum] }),
  };
}

const built = new Map<string, Passes | null>();

/** The passes in vector instructions; null for an activation, or on a processor, that has none. */
export function vectorPasses(activation: Activation): Passes | null {
  const key = Object.entries(activation).sort().join();
  let found = built.get(key);
  if (found === undefined) {
    found = build(activation);
    built.set(key, found);
  }
  return found;
}
