import { intAttribute } from '../ir/attributes.js';
import { DataType, type NodeProto, type TensorProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { isOperator, operatorOf } from '../ir/operator.js';
import { elementCount, tensorDims, tensorInts } from '../ir/tensors.js';
import { GraphIndex } from './graph-index.js';
import { weightedNodes, type WeightedNode } from './weighted-nodes.js';

/**
 * A layer that alone reads what another one makes, with nothing in between that mixes channels: a channel that `reader`
 * can do without need not be made by `producer` either.
 */
export interface ChannelTie {
  reader: WeightedNode;
  producer: WeightedNode;
  /** Nodes between the two, in graph order: each does the same with every channel, or has weights for each. */
  between: NodeProto[];
  /** Of these, the depthwise convolutions. */
  depthwise: WeightedNode[];
}

const ELEMENTWISE = new Set([
  ...['Relu', 'LeakyRelu', 'Clip', 'Elu', 'Sigmoid', 'Tanh', 'HardSigmoid', 'HardSwish', 'Softplus', 'Gelu', 'Mish'],
  ...['Selu', 'Celu', 'Swish', 'Softsign', 'Erf', 'Abs', 'Neg', 'Exp', 'Sqrt', 'Identity'],
  ...['Add', 'Sub', 'Mul', 'Div', 'Min', 'Max', 'Pow', 'PRelu'],
]);
const POOLS = new Set(['MaxPool', 'AveragePool', 'LpPool']);
/** What is left of every channel is one number, so that rows of them are channels again. */
const GLOBAL_POOLS = new Set(['GlobalAveragePool', 'GlobalMaxPool']);

/** Of all layers that can be changed and whose weights no other node reads, in graph order of the readers. */
export function channelTies(model: Model): ChannelTie[] {
  const index = new GraphIndex(model.graph);
  const nodes = weightedNodes(model);
  const shared = new Set(nodes.flatMap(({ first }) => (first === null ? [] : [first])));
  const isFree = (layer: WeightedNode) => layer.blocked === null && layer.first === null && !shared.has(layer.name);
  const known = { index, model, byNode: new Map<NodeProto, WeightedNode>(), isFree };
  for (const layer of nodes) {
    known.byNode.set(layer.node, layer);
    if (layer.add !== null) known.byNode.set(layer.add, layer);
  }
  return nodes.flatMap((reader) => {
    const tie = isFree(reader) ? tieOf(reader, known) : null;
    return tie === null ? [] : [tie];
  });
}

interface Known {
  index: GraphIndex;
  model: Model;
  byNode: ReadonlyMap<NodeProto, WeightedNode>;
  isFree: (layer: WeightedNode) => boolean;
}

function tieOf(reader: WeightedNode, { index, model, byNode, isFree }: Known): ChannelTie | null {
  const found = new Set<NodeProto>();
  const depthwise: WeightedNode[] = [];
  let producer: WeightedNode | null = null;
  const open = [reader.input];
  for (let tensor = open.pop(); tensor !== undefined; tensor = open.pop()) {
    const node = index.producer(tensor);
    if (node === null) return null;
    if (found.has(node)) continue;
    const layer = byNode.get(node);
    if (layer !== undefined && !isDepthwise(layer)) {
      if (!isFree(layer) || tensor !== layer.output || (producer !== null && producer !== layer)) return null;
      producer = layer;
      continue;
    }
    if (layer !== undefined) depthwise.push(layer);
    else if (!keepsChannels(node, index)) return null;
    found.add(node);
    open.push(...(layer === undefined ? node.input.filter((name) => isComputed(name, index)) : [layer.input]));
  }
  if (producer === null || producer.m !== reader.channels) return null;
  const made = [producer.output, ...[...found].flatMap(({ output }) => output)];
  const isInside = (name: string) =>
    !index.isOutput(name) && index.consumers(name).every((node) => found.has(node) || node === reader.node);
  if (!made.every(isInside)) return null;
  const between = model.graph.node.filter((node) => found.has(node));
  const tie: ChannelTie = { reader, producer, between, depthwise };
  return depthwise.every(({ m }) => m === reader.channels) && fits(tie, index, model.directory) ? tie : null;
}

/** With weights of its own for every channel, and as many outputs. */
const isDepthwise = ({ node, weight, group, m, channels, first }: WeightedNode): boolean =>
  isOperator(node, 'Conv') && channels === 1 && group === m && first === null && weight?.dataType === DataType.FLOAT;

const isComputed = (name: string, index: GraphIndex): boolean => name !== '' && index.initializer(name) === null;

/** As far as the operator says it; `fits` looks at axes and constants. */
const keepsChannels = (node: NodeProto, index: GraphIndex): boolean => {
  const operator = operatorOf(node);
  if (ELEMENTWISE.has(operator) || GLOBAL_POOLS.has(operator)) return true;
  if (POOLS.has(operator)) return node.output.length === 1;
  if (operator === 'Flatten') return intAttribute(node, 'axis', 1) === 1;
  return operator === 'Pad' && node.input.slice(1).every((name) => name === '' || index.initializer(name) !== null);
};

/** Whether every node means the axis of channels, and its constants are one number or one for each channel. */
function fits({ producer, between }: ChannelTie, index: GraphIndex, directory: string | null): boolean {
  let axes: number | null = producer.op === 'Conv' ? producer.kernel.length : null;
  for (const node of between) {
    const operator = operatorOf(node);
    if (ELEMENTWISE.has(operator)) {
      for (const name of node.input) {
        const constant = index.initializer(name);
        if (constant === null) continue;
        if (elementCount(tensorDims(constant)) !== 1 && channelAxis(constant, producer, axes) === null) return false;
      }
    } else if (axes === null) return false;
    else if (operator === 'Pad' && !padsSpace(node, axes, index, directory)) return false;
    // The row behind it holds channels only where each is one number: then it is as long as the layer has outputs.
    else if (operator === 'Flatten') axes = null;
  }
  return true;
}

/**
 * The axis of a constant that has a number for every output of the layer and none of its own else; null: it has none.
 * @param axes of a feature map beside samples and channels; null: channels are the last axis
 */
export function channelAxis(constant: TensorProto, { m }: Pick<WeightedNode, 'm'>, axes: number | null): number | null {
  const dims = tensorDims(constant);
  const at = dims.length - 1 - (axes ?? 0);
  return constant.dataType === DataType.FLOAT && at >= 0 && dims[at] === m && elementCount(dims) === m ? at : null;
}

function padsSpace(node: NodeProto, axes: number, index: GraphIndex, directory: string | null): boolean {
  const pads = index.initializer(node.input[1]);
  if (pads === null || (node.input[3] ?? '') !== '') return false;
  const given = tensorInts(pads, directory);
  return given.length === 2 * (axes + 2) && [0, 1, axes + 2, axes + 3].every((i) => given[i] === 0);
}
