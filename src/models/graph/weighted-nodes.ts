import { storableText } from '../../errors/storable.js';
import type { LayerOp } from '../layer.js';
import { floatAttribute, hasAttribute, intAttribute, intsAttribute, stringAttribute } from '../ir/attributes.js';
import { isRowBias } from './dense-weights.js';
import { GraphIndex } from './graph-index.js';
import { DataType, dataTypeName, type GraphProto, type NodeProto, type TensorProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { isOperator, operatorOf } from '../ir/operator.js';
import { storedWeight } from './stored-weight.js';
import { tensorDims } from '../ir/tensors.js';

/** A node with weights and all that the graph alone tells about it; shapes of activations are not known here. */
export interface WeightedNode {
  name: string;
  op: LayerOp;
  node: NodeProto;
  /** The Add behind a MatMul that holds its bias. */
  add: NodeProto | null;
  weight: TensorProto | null;
  bias: TensorProto | null;
  /** The second matrix of a recurrent layer. */
  recurrence: TensorProto | null;
  input: string;
  output: string;
  m: number;
  channels: number;
  kernel: number[];
  strides: number[];
  dilations: number[];
  /** null: to be worked out from the shapes (auto_pad, and of a transposed convolution output_shape). */
  pads: number[] | null;
  autoPad: string;
  group: number;
  /** The first node that reads the same weights in the same way: it stands for the layer, and this is a use of it. */
  first: string | null;
  blocked: string | null;
}

/** Which input holds the weights, for every operator that counts as a layer. */
const WEIGHT_INPUT: ReadonlyMap<string, { op: LayerOp; input: number }> = new Map(
  Object.entries<{ op: LayerOp; input: number }>({
    Conv: { op: 'Conv', input: 1 },
    ConvTranspose: { op: 'Conv', input: 1 },
    ConvInteger: { op: 'Conv', input: 1 },
    QLinearConv: { op: 'Conv', input: 3 },
    Gemm: { op: 'Gemm', input: 1 },
    MatMul: { op: 'MatMul', input: 1 },
    MatMulInteger: { op: 'MatMul', input: 1 },
    QLinearMatMul: { op: 'MatMul', input: 3 },
    'com.microsoft::QGemm': { op: 'Gemm', input: 3 },
    LSTM: { op: 'LSTM', input: 1 },
    GRU: { op: 'GRU', input: 1 },
    RNN: { op: 'RNN', input: 1 },
    // Fusions of ONNX Runtime, which its optimized models hold.
    'com.microsoft::FusedConv': { op: 'Conv', input: 1 },
    'com.microsoft::FusedGemm': { op: 'Gemm', input: 1 },
    'com.microsoft::FusedMatMul': { op: 'MatMul', input: 1 },
  }),
);

const isFused = (node: NodeProto): boolean => operatorOf(node).startsWith('com.microsoft::Fused');

/** The layers of a prepared model, in graph order. */
export function weightedNodes(model: Model): WeightedNode[] {
  const index = new GraphIndex(model.graph);
  const found: WeightedNode[] = [];
  const nameOf = layerNames(model.graph);
  for (const node of model.graph.node) {
    const kind = WEIGHT_INPUT.get(operatorOf(node));
    if (kind === undefined) continue;
    const layer = describe(
      node,
      { name: nameOf(node), op: kind.op, weight: storedWeight(node.input[kind.input], index) },
      index,
    );
    if (layer !== null) found.push(layer);
  }
  joinShared(found, index);
  return found;
}

/** The nodes that are one layer together, in graph order. @param name of the first of them */
export const usesIn = (model: Model, name: string): WeightedNode[] =>
  weightedNodes(model).filter((node) => node.name === name || node.first === name);

/**
 * A layer is known by the name of its node, or of what it makes; always one that can be stored, shown, and named in a
 * request.
 */
function layerNames(graph: GraphProto): (node: NodeProto) => string {
  const nodeNames = new Map<string, number>();
  for (const node of graph.node) {
    const name = storableText(node.name);
    nodeNames.set(name, (nodeNames.get(name) ?? 0) + 1);
  }
  const given = new Set<string>();
  return (node) => {
    const own = storableText(node.name);
    const name = own !== '' && nodeNames.get(own) === 1 ? own : storableText(node.output[0] ?? '');
    // Only names that were made storable can meet.
    const unique = given.has(name) ? `${name}#${String(given.size)}` : name;
    given.add(unique);
    return unique;
  };
}

function describe(
  node: NodeProto,
  { name, op, weight }: { name: string; op: LayerOp; weight: TensorProto | null },
  index: GraphIndex,
): WeightedNode | null {
  const dims = weight === null ? [] : tensorDims(weight);
  const base: WeightedNode = {
    name,
    op,
    node,
    add: null,
    weight,
    bias: null,
    recurrence: null,
    input: node.input[0] ?? '',
    output: node.output.find((output) => output !== '') ?? '',
    m: 0,
    channels: 0,
    kernel: [],
    strides: [],
    dilations: [],
    pads: [],
    autoPad: 'NOTSET',
    group: 1,
    first: null,
    blocked: null,
  };
  if (op === 'Conv') return convolution(base, dims, index);
  if (op === 'LSTM' || op === 'GRU' || op === 'RNN') return recurrent(base, dims, index);
  if (weight === null && op === 'MatMul') {
    // A product of two activations has no weights: nothing to list. Weights on the left are a layer, but not one we
    // rewrite.
    const left = index.initializer(node.input[0]);
    const dequantized = isDequantized(node, index);
    if (left === null && !dequantized) return null;
    const reason = dequantized ? QUANTIZED : 'the weights are on the left side';
    return { ...base, weight: left, input: left === null ? base.input : (node.input[1] ?? ''), blocked: reason };
  }
  return connected(base, dims, index);
}

/** Weights [directions, gates * hidden, inputs]. */
function recurrent(base: WeightedNode, [directions = 0, , channels = 0]: number[], index: GraphIndex): WeightedNode {
  const { node, op } = base;
  return {
    ...base,
    m: directions * intAttribute(node, 'hidden_size', 0),
    channels,
    recurrence: storedWeight(node.input[2] ?? '', index),
    bias: storedWeight(node.input[3] ?? '', index),
    blocked: `recurrent layer (${op})`,
  };
}

function weightProblem({ node, weight }: WeightedNode, index: GraphIndex): string | null {
  if (isDequantized(node, index)) return QUANTIZED;
  if (weight === null) return 'the weights are not constant';
  if (isOperator(index.producer(node.input[1]), 'Transpose'))
    return index.consumers(weight.name).length > 1
      ? 'the weights are shared, and turned by a Transpose for this node'
      : 'the weights are turned in the graph';
  if (weight.name !== node.input[1]) return `the weights are coded (${dataTypeName(weight.dataType)})`;
  return weight.dataType === DataType.FLOAT ? null : `the weights are ${dataTypeName(weight.dataType)}`;
}

const QUANTIZED = 'the weights are quantized (DequantizeLinear)';

const isDequantized = (node: NodeProto, index: GraphIndex): boolean =>
  isOperator(index.producer(node.input[1]), 'DequantizeLinear');

function convolution(base: WeightedNode, dims: number[], index: GraphIndex): WeightedNode {
  const { node } = base;
  const group = intAttribute(node, 'group', 1);
  const transposed = isOperator(node, 'ConvTranspose');
  const kernel = intsAttribute(node, 'kernel_shape') ?? dims.slice(2);
  const rank = kernel.length;
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET');
  const layer: WeightedNode = {
    ...base,
    m: transposed ? (dims[1] ?? 0) * group : (dims[0] ?? 0),
    channels: transposed ? (dims[0] ?? 0) / group : (dims[1] ?? 0),
    kernel,
    strides: intsAttribute(node, 'strides') ?? kernel.map(() => 1),
    dilations: intsAttribute(node, 'dilations') ?? kernel.map(() => 1),
    pads:
      autoPad === 'NOTSET' && !(transposed && hasAttribute(node, 'output_shape'))
        ? (intsAttribute(node, 'pads') ?? [...kernel, ...kernel].map(() => 0))
        : null,
    autoPad,
    group,
  };
  const biasInput =
    isOperator(node, 'Conv', 'ConvTranspose') || isFused(node) ? 2 : isOperator(node, 'QLinearConv') ? 8 : -1;
  const biasName = node.input[biasInput] ?? '';
  layer.bias = storedWeight(biasName, index);
  if (transposed && group !== 1) layer.blocked = `grouped transposed convolution (${String(group)} groups)`;
  else if (!isOperator(node, 'Conv', 'ConvTranspose'))
    layer.blocked = `${isFused(node) ? 'fused' : 'quantized'} convolution (${operatorOf(node)})`;
  else if (group !== 1)
    layer.blocked = layer.channels === 1 ? 'depthwise convolution' : `grouped convolution (${String(group)} groups)`;
  else if (base.weight !== null && (rank < 1 || rank > 3)) layer.blocked = `${String(rank)}-D convolution`;
  else layer.blocked = weightProblem(layer, index);
  if (layer.blocked === null && biasName !== '' && index.initializer(biasName)?.dataType !== DataType.FLOAT)
    layer.blocked = 'the bias is not constant';
  return layer;
}

function connected(base: WeightedNode, dims: number[], index: GraphIndex): WeightedNode {
  const { node, op } = base;
  const rows = dims[0] ?? 0;
  const columns = dims[1] ?? 0;
  const turned = intAttribute(node, 'transB', 0) !== 0;
  const layer: WeightedNode = { ...base, m: turned ? rows : columns, channels: turned ? columns : rows };
  if (!isOperator(node, op)) return otherProduct(layer, index);
  layer.blocked = weightProblem(layer, index);
  if (layer.blocked === null && dims.length !== 2) layer.blocked = `the weights have ${String(dims.length)} dimensions`;
  // Of weights that are coded too: their bias counts.
  if (op === 'MatMul') return layer.weight === null ? layer : withAddedBias(layer, index);
  if (hasAttribute(node, 'transA') && intAttribute(node, 'transA', 0) !== 0)
    layer.blocked ??= 'its input is transposed';
  const biasName = node.input[2] ?? '';
  layer.bias = storedWeight(biasName, index);
  if (biasName === '' || layer.blocked !== null) return layer;
  if (layer.bias === null || layer.bias.name !== biasName || layer.bias.dataType !== DataType.FLOAT)
    layer.blocked = 'the bias is not constant';
  else if (!isRowBias(tensorDims(layer.bias), layer.m)) layer.blocked = 'the bias differs between the rows';
  return layer;
}

/** Products of other operators than the standard ones of float32: counted, not changed. */
function otherProduct(layer: WeightedNode, index: GraphIndex): WeightedNode {
  const { node } = layer;
  if (isOperator(node, 'com.microsoft::QGemm'))
    return { ...layer, bias: storedWeight(node.input[6] ?? '', index), blocked: 'quantized product (QGemm)' };
  if (!isFused(node)) return { ...layer, blocked: `quantized product (${operatorOf(node)})` };
  return { ...layer, bias: storedWeight(node.input[2] ?? '', index), blocked: `fused product (${operatorOf(node)})` };
}

/** MatMul followed only by the addition of a constant row is one layer. */
function withAddedBias(layer: WeightedNode, index: GraphIndex): WeightedNode {
  const add = index.soleConsumer(layer.output);
  if (add === null || !isOperator(add, 'Add')) return layer;
  const bias = index.initializer(add.input[0] === layer.output ? add.input[1] : add.input[0]);
  if (bias?.dataType !== DataType.FLOAT || !isRowBias(tensorDims(bias), layer.m)) return layer;
  return { ...layer, add, bias, output: add.output[0] ?? '' };
}

/**
 * Weights that several nodes read are one layer where all of them apply the same linear map; else none of the nodes can
 * be replaced.
 */
function joinShared(layers: WeightedNode[], index: GraphIndex): void {
  const readers = new Map<string, WeightedNode[]>();
  for (const layer of layers)
    if (layer.weight !== null) readers.set(layer.weight.name, [...(readers.get(layer.weight.name) ?? []), layer]);
  for (const [weight, uses] of readers) {
    const [first, ...others] = uses;
    if (first === undefined || index.consumers(weight).length < 2) continue;
    const reasons = uses.map((layer) => layer.blocked ?? whyApart(layer, uses, index));
    if (reasons.every((reason) => reason === null)) for (const layer of others) layer.first = first.name;
    else for (const [i, layer] of uses.entries()) layer.blocked = reasons[i] ?? whyBeside(layer, uses);
  }
}

/** Why a node is no use of one layer together with all others that read its weights; null: it is one. */
function whyApart(layer: WeightedNode, uses: readonly WeightedNode[], index: GraphIndex): string | null {
  const { node, weight, m, channels } = layer;
  const name = weight?.name ?? '';
  const foreign = index.consumers(name).find((reader) => !uses.some((use) => use.node === reader));
  if (foreign !== undefined) return `the weights are shared with ${nameOf(foreign)} (${operatorOf(foreign)})`;
  if (node.input.filter((input) => input === name).length > 1) return 'its weights are read twice by one node';
  const alike = (other: WeightedNode): boolean =>
    operatorOf(other.node) === operatorOf(node) && other.m === m && other.channels === channels;
  const unlike = uses.find((other) => !alike(other));
  if (unlike !== undefined)
    return `the weights are shared with ${unlike.name} (${operatorOf(unlike.node)}), another kind of node`;
  const factor = (of: NodeProto): number => (isOperator(of, 'Gemm') ? floatAttribute(of, 'alpha', 1) : 1);
  const scaled = uses.find((other) => factor(other.node) !== factor(node));
  return scaled === undefined ? null : `the weights are shared with ${scaled.name}, which scales them otherwise`;
}

/** Of a node that could be replaced by itself. */
function whyBeside(layer: WeightedNode, uses: readonly WeightedNode[]): string {
  const other = uses.find((use) => use !== layer && use.blocked !== null);
  return `the weights are shared with ${other?.name ?? ''}, which stays dense: ${other?.blocked ?? ''}`;
}

const nameOf = (node: NodeProto): string => {
  const name = storableText(node.name);
  return name === '' ? storableText(node.output[0] ?? '') : name;
};
