import type { Activation } from '../../src/models/activation.js';

export const ACTIVATIONS: Activation[] = [
  { kind: 'identity' },
  { kind: 'relu' },
  { kind: 'clip', min: 0, max: 6 },
  { kind: 'clip', min: -1, max: 1 },
  { kind: 'clip', min: -Infinity, max: 2 },
  { kind: 'clip', min: 0.5, max: Infinity },
  { kind: 'leaky_relu', alpha: 0.1 },
  { kind: 'leaky_relu', alpha: -0.3 },
  { kind: 'elu', alpha: 1 },
  { kind: 'sigmoid' },
  { kind: 'tanh' },
  { kind: 'silu' },
  { kind: 'gelu', approximate: false },
  { kind: 'gelu', approximate: true },
  { kind: 'hard_sigmoid', alpha: 0.2, beta: 0.5 },
  { kind: 'hard_swish' },
  { kind: 'softplus' },
];

export const label = (a: Activation): string =>
  Object.entries(a)
    .map(([key, value]) => (key === 'kind' ? String(value) : `${key}=${String(value)}`))
    .join(' ');
