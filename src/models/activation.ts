/** Element-wise functions that may follow a layer. `kind` names follow the ONNX operators. */
export type Activation =
  | { kind: 'identity' }
  | { kind: 'relu' }
  | { kind: 'clip'; min: number; max: number }
  | { kind: 'leaky_relu'; alpha: number }
  | { kind: 'elu'; alpha: number }
  | { kind: 'sigmoid' }
  | { kind: 'tanh' }
  | { kind: 'silu' }
  | { kind: 'gelu'; approximate: boolean }
  | { kind: 'hard_sigmoid'; alpha: number; beta: number }
  | { kind: 'hard_swish' }
  | { kind: 'softplus' };
