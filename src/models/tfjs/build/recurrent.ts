import { makeInt, makeString, makeFloat } from '../../ir/attributes.js';
import { AttributeType, type AttributeProto } from '../../ir/messages.js';
import type { StoredTensor } from '../io/weights.js';
import type { GraphBuilder } from './graph-builder.js';
import { slice, TO_END } from './shape-ops.js';
import { permute, type Value } from './value.js';

export interface Recurrent {
  kind: 'LSTM' | 'GRU' | 'RNN';
  units: number;
  /** [inputs, gates * units] */
  kernel: StoredTensor;
  /** [units, gates * units] */
  recurrence: StoredTensor;
  /** [gates * units], or two of them for a GRU that resets behind its product. */
  bias: StoredTensor | null;
  resetAfter: boolean;
  activation: string;
  recurrentActivation: string;
  backwards: boolean;
  sequences: boolean;
}

/** Which gate of Keras stands where in the runtime's order. */
const GATES = { LSTM: [0, 3, 1, 2], GRU: [0, 1, 2], RNN: [0] } as const;

const FUNCTIONS: Readonly<Record<string, string>> = {
  ...{ tanh: 'Tanh', sigmoid: 'Sigmoid', hard_sigmoid: 'HardSigmoid', relu: 'Relu', linear: 'Affine' },
  ...{ softsign: 'Softsign', softplus: 'Softplus', elu: 'Elu' },
};

/** The columns of the gates in the runtime's order, turned into rows: [gates * units, rows]. */
function gatesFirst(tensor: StoredTensor, units: number, order: readonly number[]): Float32Array {
  const turned = permute(tensor, [1, 0]);
  const width = tensor.dims[0] ?? 0;
  const result = new Float32Array(turned.data.length);
  order.forEach((gate, place) => {
    result.set(turned.data.subarray(gate * units * width, (gate + 1) * units * width), place * units * width);
  });
  return result;
}

export function recurrent(b: GraphBuilder, x: Value, layer: Recurrent): Value {
  const { kind, units, kernel, recurrence, resetAfter, backwards, sequences } = layer;
  if (x.rank !== 3) throw b.fail('its input is no sequence of rows');
  const order = GATES[kind];
  const rows = order.length * units;
  const weights = b.floats([1, rows, kernel.dims[0] ?? 0], gatesFirst(kernel, units, order));
  const recurrences = b.floats([1, rows, units], gatesFirst(recurrence, units, order));
  const attributes: AttributeProto[] = [
    makeInt('hidden_size', units),
    ...(kind === 'GRU' ? [makeInt('linear_before_reset', resetAfter ? 1 : 0)] : []),
    ...(backwards ? [makeString('direction', 'reverse')] : []),
    ...activations(b, layer),
  ];
  const inputs = [b.ordered(x, [1, 0, 2]), weights, recurrences, b.floats([1, 2 * rows], biases(layer, order, rows))];
  const [all = '', last = ''] = b.node(
    kind,
    inputs.map((value) => b.tensor(value)),
    attributes,
    2,
  );
  const value: Value = { tensor: all, order: null, rank: 4, type: 'float32', constant: null };
  if (!sequences) {
    const state = b.emit('Squeeze', [{ ...value, tensor: last, rank: 3 }, b.ints([0])], { rank: 2 });
    return state;
  }
  const rowsOut = b.emit('Squeeze', [value, b.ints([1])], { rank: 3, order: [1, 0, 2] });
  // Keras gives what ran backwards in the order in which it ran.
  return backwards ? slice(b, rowsOut, [{ axis: 1, begin: -1, end: -TO_END, step: -1 }]) : rowsOut;
}

function biases({ bias, units }: Recurrent, order: readonly number[], rows: number): Float32Array {
  const result = new Float32Array(2 * rows);
  if (bias === null) return result;
  const [first = 0, second] = bias.dims;
  const sets =
    second === undefined
      ? [{ dims: [1, first], offset: 0 }]
      : [
          { dims: [1, second], offset: 0 },
          { dims: [1, second], offset: second },
        ];
  sets.forEach(({ dims, offset }, i) => {
    const data = bias.data.subarray(offset, offset + (dims[1] ?? 0));
    result.set(gatesFirst({ dims, type: 'float32', data }, units, order), i * rows);
  });
  return result;
}

function activations(b: GraphBuilder, { kind, activation, recurrentActivation }: Recurrent): AttributeProto[] {
  const named = (name: string): string => {
    const found = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
    if (found === undefined) throw b.fail(`the activation ${name} of a recurrent layer is not read`);
    return found;
  };
  const gate = named(recurrentActivation);
  const state = named(activation);
  const names = kind === 'RNN' ? [state] : kind === 'GRU' ? [gate, state] : [gate, state, state];
  const alphas: Readonly<Record<string, number>> = { HardSigmoid: 0.2, Affine: 1, Elu: 1 };
  const betas: Readonly<Record<string, number>> = { HardSigmoid: 0.5, Affine: 0 };
  const floats = (name: string, of: Readonly<Record<string, number>>): AttributeProto => ({
    name,
    type: AttributeType.FLOATS,
    floats: names.map((n) => of[n] ?? 0),
  });
  return [
    { name: 'activations', type: 8, strings: names.map((name) => Buffer.from(name)) },
    floats('activation_alpha', alphas),
    floats('activation_beta', betas),
  ];
}

/** Divides by the root of the sum over neighbouring channels: LRN of TensorFlow. */
export function localResponse(
  b: GraphBuilder,
  x: Value,
  { radius, bias, alpha, beta, order }: { radius: number; bias: number; alpha: number; beta: number; order: number[] },
): Value {
  const size = 2 * radius + 1;
  const attributes = [
    makeInt('size', size),
    makeFloat('bias', bias),
    makeFloat('alpha', alpha * size),
    makeFloat('beta', beta),
  ];
  return b.emit('LRN', [b.ordered(x, order)], { attributes, order });
}
