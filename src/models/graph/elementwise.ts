import { floatAttribute, stringAttribute } from '../ir/attributes.js';
import type { NodeProto } from '../ir/messages.js';
import { operatorOf } from '../ir/operator.js';

/** Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7, enough to tell functions apart. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - poly * Math.exp(-x * x));
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const clip = (x: number, min: number, max: number): number => Math.min(Math.max(x, min), max);

const FUNCTIONS: Record<string, (node: NodeProto, x: number[]) => number> = {
  Add: (_, [a = 0, b = 0]) => a + b,
  Sub: (_, [a = 0, b = 0]) => a - b,
  Mul: (_, [a = 0, b = 0]) => a * b,
  Div: (_, [a = 0, b = 0]) => a / b,
  Pow: (_, [a = 0, b = 0]) => a ** b,
  Neg: (_, [a = 0]) => -a,
  Abs: (_, [a = 0]) => Math.abs(a),
  Exp: (_, [a = 0]) => Math.exp(a),
  Sqrt: (_, [a = 0]) => Math.sqrt(a),
  Reciprocal: (_, [a = 0]) => 1 / a,
  Erf: (_, [a = 0]) => erf(a),
  Tanh: (_, [a = 0]) => Math.tanh(a),
  Sigmoid: (_, [a = 0]) => sigmoid(a),
  Relu: (_, [a = 0]) => Math.max(a, 0),
  Softplus: (_, [a = 0]) => Math.log1p(Math.exp(-Math.abs(a))) + Math.max(a, 0),
  Min: (_, x) => Math.min(...x),
  Max: (_, x) => Math.max(...x),
  Clip: (node, [a = 0, min, max]) =>
    clip(a, min ?? floatAttribute(node, 'min', -Infinity), max ?? floatAttribute(node, 'max', Infinity)),
  HardSigmoid: (node, [a = 0]) =>
    clip(floatAttribute(node, 'alpha', 0.2) * a + floatAttribute(node, 'beta', 0.5), 0, 1),
  HardSwish: (_, [a = 0]) => a * clip(a / 6 + 0.5, 0, 1),
  LeakyRelu: (node, [a = 0]) => (a < 0 ? floatAttribute(node, 'alpha', 0.01) * a : a),
  Elu: (node, [a = 0]) => (a < 0 ? floatAttribute(node, 'alpha', 1) * Math.expm1(a) : a),
  Gelu: (node, [a = 0]) => (stringAttribute(node, 'approximate', 'none') === 'tanh' ? geluTanh(a) : gelu(a)),
  Swish: (node, [a = 0]) => a * sigmoid(floatAttribute(node, 'alpha', 1) * a),
};

export const gelu = (x: number): number => 0.5 * x * (1 + erf(x / Math.SQRT2));
export const geluTanh = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
export const silu = (x: number): number => x * sigmoid(x);
export const hardSwish = (x: number): number => x * clip(x / 6 + 0.5, 0, 1);

export function isElementwise(node: NodeProto): boolean {
  return Object.hasOwn(FUNCTIONS, operatorOf(node));
}

/** The value of an element-wise node for the values of its inputs (undefined: an input left out). */
export function evaluate(node: NodeProto, inputs: (number | undefined)[]): number {
  return FUNCTIONS[operatorOf(node)]?.(node, inputs as number[]) ?? Number.NaN;
}
