import type { Layer } from '../layer.js';
import { intAttribute } from '../ir/attributes.js';
import { denseWeightsOf } from './dense-weights.js';
import { GraphIndex } from './graph-index.js';
import { DataType, type NodeProto, type TensorProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { isOperator, operatorOf } from '../ir/operator.js';
import { elementCount, tensorDims, tensorFloats } from '../ir/tensors.js';
import { weightedNodes, type WeightedNode } from './weighted-nodes.js';

/**
 * What a node does to the channels of a tensor, as far as it matters to how an error goes on to the network's outputs:
 * - `weights`: a layer; `weights` [m, channels * taps], the taps of a channel side by side
 * - `depthwise`: `weights` [channels, taps]
 * - `same`: every channel by itself, with a slope near that of the others: pooling, moves, a sum
 * - `scale`: a factor for every channel
 * - `mask`: an activation, of the tensor whose slopes are those of `at`
 * - `concat`: the channels of several tensors one behind the other
 * - `unknown`: nothing can be said of what lies before it
 */
export type ChannelFlow = { from: string[]; to: string } & (
  | { kind: 'weights'; weights: () => Float32Array; m: number; channels: number }
  | { kind: 'depthwise'; weights: () => Float32Array; channels: number }
  | { kind: 'same' | 'unknown' }
  | { kind: 'scale'; factors: Float32Array }
  | { kind: 'mask'; at: string }
  | { kind: 'concat'; sizes: number[] }
);

export interface ChannelFlows {
  /** From the inputs to the outputs. */
  flows: ChannelFlow[];
  /** Outputs of the network whose channels are known. */
  outputs: { name: string; channels: number }[];
}

const POOLS = new Set(['MaxPool', 'AveragePool', 'GlobalAveragePool', 'GlobalMaxPool', 'ReduceMean', 'LpPool']);
const MOVES = new Set(['Flatten', 'Reshape', 'Squeeze', 'Unsqueeze', 'Identity', 'Dropout', 'Pad', 'Resize', 'Cast']);
const MASKS = new Set([
  'Relu',
  'LeakyRelu',
  'Clip',
  'Elu',
  'Sigmoid',
  'Tanh',
  'HardSigmoid',
  'HardSwish',
  'Softplus',
  'Gelu',
  'Mish',
  'Selu',
  'Celu',
]);
/** Of a last layer: an error of the logits is what matters. */
const ENDS = new Set(['Softmax', 'LogSoftmax', 'Neg', 'Exp', 'Log', 'Sqrt', 'Abs']);

/** @param layers of the prepared model: what is known of their shapes */
export function channelFlows(model: Model, layers: readonly Layer[]): ChannelFlows {
  const index = new GraphIndex(model.graph);
  const nodes = new Map<NodeProto, WeightedNode>();
  for (const node of weightedNodes(model)) {
    nodes.set(node.node, node);
    if (node.add !== null) nodes.set(node.add, node);
  }
  const known = new Map(layers.map((layer) => [layer.name, layer]));
  const channels = new Map<string, number>();
  /** The tensor that holds the same channels before all nodes that only move or pool values. */
  const source = (tensor: string): string => {
    for (let at = tensor; ;) {
      const node = index.producer(at);
      if (node === null || !(POOLS.has(operatorOf(node)) || MOVES.has(operatorOf(node)))) return at;
      at = node.input[0] ?? '';
    }
  };
  const constant = (name: string | undefined): TensorProto | null => index.initializer(name);
  const flows: ChannelFlow[] = [];
  for (const node of model.graph.node) {
    const to = node.output[0] ?? '';
    const inputs = node.input.filter((name) => name !== '' && constant(name) === null);
    const [first = ''] = inputs;
    const size = channels.get(first);
    const same = (kind: 'same' | 'unknown' = 'same', from = inputs) => {
      flows.push({ kind, from, to });
      if (kind === 'same' && size !== undefined) channels.set(to, size);
    };
    const weighted = nodes.get(node);
    if (weighted !== undefined) {
      const layer = known.get(weighted.first ?? weighted.name);
      if (layer !== undefined) channels.set(to, layer.m);
      if (node === weighted.add) {
        flows.push({ kind: 'same', from: inputs, to });
        continue;
      }
      flows.push(weightedFlow(model, weighted, { from: first, to, given: channels.get(source(first)) }));
      continue;
    }
    const operator = operatorOf(node);
    if (MASKS.has(operator)) {
      flows.push({ kind: 'mask', from: inputs, to, at: source(first) });
      if (size !== undefined) channels.set(to, size);
    } else if (POOLS.has(operator) || MOVES.has(operator) || ENDS.has(operator)) same('same', [first]);
    else if (operator === 'Add' || operator === 'Sub') same();
    else if (operator === 'Mul' || operator === 'Div') {
      const other = node.input.map((name) => constant(name)).find((tensor) => tensor !== null);
      const factors = other == null || size === undefined ? null : perChannel(node, other, size, model.directory);
      if (factors !== null) {
        flows.push({ kind: 'scale', from: inputs, to, factors });
        if (size !== undefined) channels.set(to, size);
      } else same();
    } else if (operator === 'Concat' && intAttribute(node, 'axis', 1) === 1) {
      const sizes = node.input.map((name) => channels.get(name) ?? 0);
      if (sizes.every((n) => n > 0)) {
        flows.push({ kind: 'concat', from: node.input, to, sizes });
        channels.set(
          to,
          sizes.reduce((a, b) => a + b, 0),
        );
      } else same('unknown');
    } else same('unknown');
  }
  const outputs = model.graph.output.flatMap(({ name }) => {
    const count = channels.get(source(name));
    return count === undefined ? [] : [{ name, channels: count }];
  });
  return { flows, outputs };
}

function weightedFlow(
  model: Model,
  node: WeightedNode,
  { from, to, given }: { from: string; to: string; given: number | undefined },
): ChannelFlow {
  const unknown: ChannelFlow = { kind: 'unknown', from: [from], to };
  const { weight, group, m } = node;
  if (weight === null || weight.dataType !== DataType.FLOAT) return unknown;
  if (node.blocked !== null) {
    const isDepthwise = isOperator(node.node, 'Conv') && group === m && node.channels === 1;
    if (!isDepthwise) return unknown;
    return { kind: 'depthwise', from: [from], to, weights: () => tensorFloats(weight, model.directory), channels: m };
  }
  // A fully connected layer behind a map that was flattened has its places as taps.
  const channels =
    node.op === 'Conv' ? node.channels : given !== undefined && node.channels % given === 0 ? given : null;
  if (channels === null) return unknown;
  const weights = () => denseWeightsOf(node.node, weight, null, model.directory).weights;
  return { kind: 'weights', from: [from], to, weights, m, channels };
}

/** One factor for every channel: [C], [C, 1, 1], [1, C, 1, 1], or one for all. */
function perChannel(node: NodeProto, tensor: TensorProto, size: number, directory: string | null): Float32Array | null {
  const count = elementCount(tensorDims(tensor));
  if (tensor.dataType !== DataType.FLOAT || (count !== 1 && count !== size)) return null;
  const values = tensorFloats(tensor, directory);
  const invert = isOperator(node, 'Div');
  return Float32Array.from({ length: size }, (_, i) => {
    const value = values[count === 1 ? 0 : i];
    return invert ? 1 / value : value;
  });
}
