import type { Activation } from '../../models/activation.js';

/** An activation as the solver needs it: r(z) and, where it exists, r'(z). */
export interface ActivationFunction {
  value: (z: number) => number;
  slope: (z: number) => number;
  /** r never decreases: the minimiser of the Z-step then lies on one side of its centre. */
  monotone: boolean;
}

const sigmoid = (z: number): number => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));
const clamp = (z: number, low: number, high: number): number => (z < low ? low : z > high ? high : z);

/** Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7, the resolution of the float32 networks it is used on. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const y = 1 - series * Math.exp(-x * x);
  return x >= 0 ? y : -y;
}

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);

function geluTanh(z: number): { t: number; inner: number } {
  const inner = SQRT_2_OVER_PI * (1 + 3 * 0.044715 * z * z);
  return { t: Math.tanh(SQRT_2_OVER_PI * (z + 0.044715 * z * z * z)), inner };
}

export function activationFunction(activation: Activation): ActivationFunction {
  switch (activation.kind) {
    case 'identity':
      return { monotone: true, value: (z) => z, slope: () => 1 };
    case 'relu':
      return { monotone: true, value: (z) => (z > 0 ? z : 0), slope: (z) => (z > 0 ? 1 : 0) };
    case 'clip': {
      const { min, max } = activation;
      return { monotone: true, value: (z) => clamp(z, min, max), slope: (z) => (z > min && z < max ? 1 : 0) };
    }
    case 'leaky_relu': {
      const { alpha } = activation;
      return { monotone: alpha >= 0, value: (z) => (z > 0 ? z : alpha * z), slope: (z) => (z > 0 ? 1 : alpha) };
    }
    case 'elu': {
      const { alpha } = activation;
      return {
        monotone: alpha >= 0,
        value: (z) => (z > 0 ? z : alpha * Math.expm1(z)),
        slope: (z) => (z > 0 ? 1 : alpha * Math.exp(z)),
      };
    }
    case 'sigmoid':
      return {
        monotone: true,
        value: sigmoid,
        slope: (z) => {
          const s = sigmoid(z);
          return s * (1 - s);
        },
      };
    case 'tanh':
      return { monotone: true, value: Math.tanh, slope: (z) => 1 - Math.tanh(z) ** 2 };
    case 'silu':
      return {
        monotone: false,
        value: (z) => z * sigmoid(z),
        slope: (z) => {
          const s = sigmoid(z);
          return s * (1 + z * (1 - s));
        },
      };
    case 'gelu':
      return activation.approximate
        ? {
            monotone: false,
            value: (z) => 0.5 * z * (1 + geluTanh(z).t),
            slope: (z) => {
              const { t, inner } = geluTanh(z);
              return 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * inner;
            },
          }
        : {
            monotone: false,
            value: (z) => 0.5 * z * (1 + erf(z * Math.SQRT1_2)),
            slope: (z) => 0.5 * (1 + erf(z * Math.SQRT1_2)) + (z * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI),
          };
    case 'hard_sigmoid': {
      const { alpha, beta } = activation;
      return {
        monotone: alpha >= 0,
        value: (z) => clamp(alpha * z + beta, 0, 1),
        slope: (z) => (alpha * z + beta > 0 && alpha * z + beta < 1 ? alpha : 0),
      };
    }
    case 'hard_swish':
      return {
        monotone: false,
        value: (z) => z * clamp(z / 6 + 0.5, 0, 1),
        slope: (z) => (z <= -3 ? 0 : z >= 3 ? 1 : z / 3 + 0.5),
      };
    case 'softplus':
      return { monotone: true, value: (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))), slope: sigmoid };
  }
}

/** r(z), elementwise. */
export function applyActivation(activation: Activation, z: Float32Array): Float32Array {
  if (activation.kind === 'identity') return Float32Array.from(z);
  const out = new Float32Array(z.length);
  if (activation.kind === 'relu') {
    for (let i = 0; i < z.length; i++) out[i] = (z[i] + Math.abs(z[i])) * 0.5;
    return out;
  }
  const { value } = activationFunction(activation);
  for (let i = 0; i < z.length; i++) out[i] = value(z[i]);
  return out;
}
