import type { Activation } from '../../models/activation.js';
import type { Kernel, Lanes } from './kernel.js';

/** r(z) and r'(z), which share most of their work. */
export interface ValueAndSlope {
  value: Lanes;
  slope: Lanes;
}

type Curve = (k: Kernel, z: Lanes) => ValueAndSlope;

/** e to the power of these is a normal single float, and so is its inverse. */
const LOWEST = -87;
const HIGHEST = 87;
/** ln 2 in two parts, of which the first has few enough bits for exact products with whole numbers. */
const LN2_HIGH = 355 / 512;
const LN2_LOW = Math.LN2 - LN2_HIGH;
/** Taylor's terms up to this power: on half of ln 2 to either side of 0 the rest is below 6e-9. */
const POWERS = 7;

function clamped(k: Kernel, x: Lanes, low: number, high: number): Lanes {
  return k.min(k.max(x, k.constant(low)), k.constant(high));
}

/** c0 + c1 x + c2 x² + ... */
function polynomial(k: Kernel, x: Lanes, coefficients: readonly number[]): Lanes {
  const [last = 0, ...rest] = [...coefficients].reverse();
  return rest.reduce((sum, c) => k.add(k.mul(sum, x), k.constant(c)), k.constant(last));
}

const INVERSE_FACTORIALS = Array.from({ length: POWERS + 1 }, (_, n) => {
  let factorial = 1;
  for (let i = 2; i <= n; i++) factorial *= i;
  return 1 / factorial;
});

/** e^x = 2^n e^f with |f| <= ln 2 / 2. */
function exponential(k: Kernel, x: Lanes): Lanes {
  const within = clamped(k, x, LOWEST, HIGHEST);
  const n = k.nearest(k.mul(within, k.constant(Math.LOG2E)));
  const high = k.sub(within, k.mul(n, k.constant(LN2_HIGH)));
  const f = k.sub(high, k.mul(n, k.constant(LN2_LOW)));
  return k.mul(polynomial(k, f, INVERSE_FACTORIALS), k.powerOfTwo(n));
}

const negative = (k: Kernel, x: Lanes): Lanes => k.sub(k.constant(0), x);

function sigmoid(k: Kernel, z: Lanes): Lanes {
  const one = k.constant(1);
  return k.divide(one, k.add(one, exponential(k, negative(k, z))));
}

const sigmoidCurve: Curve = (k, z) => {
  const s = sigmoid(k, z);
  return { value: s, slope: k.mul(s, k.sub(k.constant(1), s)) };
};

/** 2 sigmoid(2 z) - 1 */
const tanhCurve: Curve = (k, z) => {
  const two = k.constant(2);
  const one = k.constant(1);
  const t = k.sub(k.mul(two, sigmoid(k, k.mul(two, z))), one);
  return { value: t, slope: k.sub(one, k.mul(t, t)) };
};

const siluCurve: Curve = (k, z) => {
  const one = k.constant(1);
  const s = sigmoid(k, z);
  return { value: k.mul(z, s), slope: k.mul(s, k.add(one, k.mul(z, k.sub(one, s)))) };
};

function eluCurve(alpha: number): Curve {
  return (k, z) => {
    const positive = k.greater(z, k.constant(0));
    const e = k.mul(k.constant(alpha), exponential(k, k.min(z, k.constant(0))));
    return {
      value: k.select(positive, z, k.sub(e, k.constant(alpha))),
      slope: k.select(positive, k.constant(1), e),
    };
  };
}

/** Beyond it, GELU is z or 0 in single floats. */
const GELU_REACH = 20;

/** z sigmoid(2 u) with u = sqrt(2/pi) (z + 0.044715 z³): the same as with a tanh. */
const geluTanhCurve: Curve = (k, z) => {
  const c = Math.sqrt(2 / Math.PI);
  const near = clamped(k, z, -GELU_REACH, GELU_REACH);
  const square = k.mul(near, near);
  const twice = k.mul(near, polynomial(k, square, [2 * c, 2 * c * 0.044715]));
  const s = sigmoid(k, twice);
  const inner = polynomial(k, square, [2 * c, 6 * c * 0.044715]);
  const bend = k.mul(k.mul(near, inner), k.mul(s, k.sub(k.constant(1), s)));
  return { value: k.mul(z, s), slope: k.add(s, bend) };
};

/** Abramowitz and Stegun 7.1.26, as in `activation-function.ts`, highest power last. */
const ERF = [0, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429];

/** z times the normal distribution's P(z), whose tail is (series exp(-z²/2)) / 2. */
const geluCurve: Curve = (k, z) => {
  const one = k.constant(1);
  const near = clamped(k, z, -GELU_REACH, GELU_REACH);
  const bell = exponential(k, k.mul(k.constant(-0.5), k.mul(near, near)));
  const t = k.divide(one, k.add(one, k.mul(k.constant(0.3275911 * Math.SQRT1_2), k.absolute(near))));
  const tail = k.mul(k.constant(0.5), k.mul(polynomial(k, t, ERF), bell));
  const p = k.select(k.less(near, k.constant(0)), tail, k.sub(one, tail));
  const density = k.mul(k.constant(1 / Math.sqrt(2 * Math.PI)), bell);
  return { value: k.mul(z, p), slope: k.add(p, k.mul(near, density)) };
};

export const hardSwishCurve: Curve = (k, z) => {
  const [zero, one, third] = [k.constant(0), k.constant(1), k.constant(1 / 3)];
  const gate = clamped(k, k.add(k.mul(z, k.constant(1 / 6)), k.constant(0.5)), 0, 1);
  const middle = k.add(k.mul(z, third), k.constant(0.5));
  const above = k.select(k.less(z, k.constant(3)), middle, one);
  return { value: k.mul(z, gate), slope: k.select(k.greater(z, k.constant(-3)), above, zero) };
};

/** ln(1 + e) = 2 artanh(e / (2 + e)), of which the argument is at most a third. */
const LOGARITHM = [2, 2 / 3, 2 / 5, 2 / 7, 2 / 9, 2 / 11, 2 / 13];

const softplusCurve: Curve = (k, z) => {
  const e = exponential(k, negative(k, k.absolute(z)));
  const x = k.divide(e, k.add(k.constant(2), e));
  const log = k.mul(x, polynomial(k, k.mul(x, x), LOGARITHM));
  return { value: k.add(k.max(z, k.constant(0)), log), slope: sigmoid(k, z) };
};

/** Activations whose Z-step is searched for, and whether they never decrease; null for all others. */
export function smoothCurve(activation: Activation): { curve: Curve; monotone: boolean } | null {
  switch (activation.kind) {
    case 'sigmoid':
      return { curve: sigmoidCurve, monotone: true };
    case 'tanh':
      return { curve: tanhCurve, monotone: true };
    case 'softplus':
      return { curve: softplusCurve, monotone: true };
    case 'elu':
      return { curve: eluCurve(activation.alpha), monotone: activation.alpha >= 0 };
    case 'silu':
      return { curve: siluCurve, monotone: false };
    case 'gelu':
      return { curve: activation.approximate ? geluTanhCurve : geluCurve, monotone: false };
    default:
      return null;
  }
}
