import type { Activation } from '../activation.js';
import { floatAttribute, stringAttribute } from '../ir/attributes.js';
import { evaluate, gelu, geluTanh, hardSwish, isElementwise, silu } from './elementwise.js';
import type { GraphIndex } from './graph-index.js';
import type { NodeProto } from '../ir/messages.js';
import { isOperator, operatorOf } from '../ir/operator.js';
import { scalarValue } from '../ir/tensors.js';

const IDENTITY: Activation = { kind: 'identity' };

/** Only move values around: any element-wise function may be applied before instead of after. */
const MOVES = new Set(['Flatten', 'Reshape', 'Squeeze', 'Unsqueeze', 'Transpose', 'Identity', 'Dropout']);

/** Functions that never decrease: they may trade places with a maximum. */
const MONOTONE = new Set<Activation['kind']>([
  'relu',
  'clip',
  'leaky_relu',
  'elu',
  'sigmoid',
  'tanh',
  'hard_sigmoid',
  'softplus',
]);

/** Longest decomposed activation: GELU by tanh has eight nodes. */
const MAX_NODES = 12;

/**
 * The element-wise function behind `tensor`, when it is the only thing that sees it. Found through nodes that only move
 * values, and through MaxPool when the function is monotone. Anything else, an addition of two branches included, is
 * `identity`.
 */
export function activationAfter(tensor: string, index: GraphIndex, directory: string | null): Activation {
  let at = tensor;
  let pooled = false;
  for (;;) {
    const next = index.soleConsumer(at);
    const isMove = next !== null && MOVES.has(operatorOf(next)) && next.input[0] === at;
    const isPool = next !== null && isOperator(next, 'MaxPool') && next.output.slice(1).every((name) => name === '');
    if (next === null || !(isMove || isPool)) break;
    pooled ||= isPool;
    at = next.output[0] ?? '';
  }
  const found = functionAt(at, index, directory);
  return pooled && !(MONOTONE.has(found.kind) && increases(found)) ? IDENTITY : found;
}

function increases(activation: Activation): boolean {
  if (activation.kind === 'leaky_relu' || activation.kind === 'elu' || activation.kind === 'hard_sigmoid')
    return activation.alpha >= 0;
  return true;
}

function functionAt(tensor: string, index: GraphIndex, directory: string | null): Activation {
  if (index.isOutput(tensor)) return IDENTITY;
  const constant = (name: string | undefined): number | undefined => {
    const initializer = index.initializer(name);
    return initializer === null ? undefined : (scalarValue(initializer, directory) ?? undefined);
  };
  const only = index.soleConsumer(tensor);
  return (only === null ? null : single(only, tensor, constant)) ?? composed(tensor, index, constant) ?? IDENTITY;
}

type Constant = (name: string | undefined) => number | undefined;

/** Activations that are one node. */
function single(node: NodeProto, tensor: string, constant: Constant): Activation | null {
  if (node.input[0] !== tensor) return null;
  switch (operatorOf(node)) {
    case 'Relu':
      return { kind: 'relu' };
    case 'LeakyRelu':
      return { kind: 'leaky_relu', alpha: floatAttribute(node, 'alpha', 0.01) };
    case 'PRelu': {
      // With a slope for every channel it is none that the fit knows.
      const alpha = constant(node.input[1]);
      return alpha === undefined ? null : { kind: 'leaky_relu', alpha };
    }
    case 'Elu':
      return { kind: 'elu', alpha: floatAttribute(node, 'alpha', 1) };
    case 'Sigmoid':
      return { kind: 'sigmoid' };
    case 'Tanh':
      return { kind: 'tanh' };
    case 'Softplus':
      return { kind: 'softplus' };
    case 'HardSigmoid':
      return {
        kind: 'hard_sigmoid',
        alpha: floatAttribute(node, 'alpha', 0.2),
        beta: floatAttribute(node, 'beta', 0.5),
      };
    case 'HardSwish':
      return { kind: 'hard_swish' };
    case 'Gelu':
      return { kind: 'gelu', approximate: stringAttribute(node, 'approximate', 'none') === 'tanh' };
    case 'Clip':
      return clipOf(node, constant);
    default:
      return null;
  }
}

function clipOf(node: NodeProto, constant: Constant): Activation | null {
  const bound = (position: number, attribute: string, open: number): number | undefined => {
    const name = node.input[position];
    return name === undefined || name === '' ? floatAttribute(node, attribute, open) : constant(name);
  };
  const min = bound(1, 'min', -Infinity);
  const max = bound(2, 'max', Infinity);
  if (min === undefined || max === undefined || !(min < max)) return null;
  if (min === 0 && max > 3e38) return { kind: 'relu' };
  return { kind: 'clip', min: Math.max(min, -3.4e38), max: Math.min(max, 3.4e38) };
}

const KNOWN: [Activation, (x: number) => number][] = [
  [{ kind: 'relu' }, (x) => Math.max(x, 0)],
  [{ kind: 'silu' }, silu],
  [{ kind: 'hard_swish' }, hardSwish],
  [{ kind: 'gelu', approximate: false }, gelu],
  [{ kind: 'gelu', approximate: true }, geluTanh],
  [{ kind: 'clip', min: 0, max: 6 }, (x) => Math.min(Math.max(x, 0), 6)],
  [{ kind: 'hard_sigmoid', alpha: 1 / 6, beta: 0.5 }, (x) => Math.min(Math.max(x / 6 + 0.5, 0), 1)],
];

/**
 * Activations that an exporter took apart (x * sigmoid(x), GELU by Erf or Tanh, ...): the element-wise nodes fed by
 * `tensor` and constants alone are evaluated as one function of x, and compared with the known functions on a grid.
 */
function composed(tensor: string, index: GraphIndex, constant: Constant): Activation | null {
  const inside = new Set<string>([tensor]);
  const nodes: NodeProto[] = [];
  while (nodes.length < MAX_NODES) {
    const next = [...inside]
      .flatMap((name) => index.consumers(name))
      .find((node) => joins(node, nodes, inside, constant));
    if (next === undefined) return null;
    nodes.push(next);
    const output = next.output[0] ?? '';
    inside.add(output);
    if (!isClosed(inside, output, nodes, index)) continue;
    const value = functionOf({ tensor, output }, nodes, constant);
    const found = [...KNOWN, ...leaky(value)].find(([, f]) => matches(f, value));
    if (found !== undefined) return found[0];
  }
  return null;
}

function joins(node: NodeProto, nodes: readonly NodeProto[], inside: ReadonlySet<string>, constant: Constant): boolean {
  if (nodes.includes(node) || !isElementwise(node)) return false;
  return node.input.every((name) => name === '' || inside.has(name) || constant(name) !== undefined);
}

/** Nothing outside sees a tensor of the region, except its `output`. */
function isClosed(
  inside: ReadonlySet<string>,
  output: string,
  nodes: readonly NodeProto[],
  index: GraphIndex,
): boolean {
  return [...inside].every(
    (name) => name === output || (!index.isOutput(name) && index.consumers(name).every((node) => nodes.includes(node))),
  );
}

/** Of x, where `tensor` is x. */
function functionOf(
  { tensor, output }: { tensor: string; output: string },
  nodes: readonly NodeProto[],
  constant: Constant,
): (x: number) => number {
  return (x) => {
    const values = new Map<string, number>([[tensor, x]]);
    for (const node of nodes) {
      const inputs = node.input.map((name) => values.get(name) ?? constant(name));
      values.set(node.output[0] ?? '', evaluate(node, inputs));
    }
    return values.get(output) ?? Number.NaN;
  };
}

/** Max(x, 0.2 x), as tf2onnx writes LeakyRelu: with the slope that is found below zero. */
function leaky(value: (x: number) => number): [Activation, (x: number) => number][] {
  const alpha = -value(-1);
  return alpha > 0 && alpha < 1 ? [[{ kind: 'leaky_relu', alpha }, (x) => (x < 0 ? alpha * x : x)]] : [];
}

function matches(f: (x: number) => number, value: (x: number) => number): boolean {
  // Constants such as 1/sqrt(2) and 0.7979 are written in float32 or with few digits.
  for (let x = -7.9; x < 8; x += 0.37) if (!(Math.abs(value(x) - f(x)) < 2e-5)) return false;
  return true;
}
