import { hasAttribute, intAttribute, intsAttribute, stringAttribute } from '../ir/attributes.js';
import { isRowBias } from '../graph/dense-weights.js';
import { GraphIndex } from '../graph/graph-index.js';
import { DataType, type NodeProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { isOperator, operatorOf } from '../ir/operator.js';
import { elementCount, scalarValue, tensorDims } from '../ir/tensors.js';
import { weightedNodes, type WeightedNode } from '../graph/weighted-nodes.js';

/** What of a network is computed with 8-bit integers. */
export interface IntegerPlan {
  layers: WeightedNode[];
  /**
   * Tensors that exist as integers, each with the one upstream that decides its scale: nodes that only move values keep
   * it.
   */
  tensors: Map<string, string>;
  /** Layers and the nodes between them that read and write integers. */
  nodes: Set<NodeProto>;
  /** Those of `tensors` that a node of `nodes` makes, or a rectifier right behind it. */
  made: Set<string>;
  /** Layers that stay float between integers, each with the tensor of `tensors` that its input is, moved. */
  between: Map<WeightedNode, string>;
}

/** What stays float although it could be integer. */
export interface LeftFloat {
  /** Names of layers. */
  layers: ReadonlySet<string>;
  tensors: ReadonlySet<string>;
}

/**
 * Products of 255 and 127 that surely add up to less than 2^30, half of what an accumulator holds; the other half is
 * the bias.
 */
const MOST_PRODUCTS = Math.floor(2 ** 30 / (255 * 127));

/**
 * Only move values, or choose some: the integers are the same ones. MaxPool: the largest of integers is the integer of
 * the largest.
 */
const MOVES = new Set(
  'Flatten Reshape Squeeze Unsqueeze Transpose Gather MaxPool Slice Resize Tile Expand DepthToSpace SpaceToDepth'.split(
    ' ',
  ),
);

/** Compute in ONNX Runtime with integers of any scales. */
const ARITHMETIC = new Set(['Add', 'Mul', 'Concat', 'AveragePool', 'GlobalAveragePool', 'LeakyRelu', 'Sigmoid']);

/** Needs an opset of 13 at least: before it, weights have one scale for all rows. */
export function planIntegers(model: Model, left: LeftFloat = NOTHING): IntegerPlan {
  const index = new GraphIndex(model.graph);
  const all = weightedNodes(model);
  const weighted = new Map(
    all
      .filter((layer) => isIntegerLayer(layer, index) && !left.layers.has(layer.name) && !left.tensors.has(layer.input))
      .map((layer): [NodeProto, WeightedNode] => [layer.node, layer]),
  );
  const moves = new Set(model.graph.node.filter((node) => isMove(node, index)));
  const arithmetic = new Set(model.graph.node.filter((node) => isArithmetic(node, index)));
  const resultOf = (node: NodeProto) =>
    moves.has(node) ? (node.output[0] ?? '') : rectified(node.output[0] ?? '', index, model);
  for (const node of weighted.keys())
    if (isOperator(node, 'Conv') && left.tensors.has(resultOf(node))) weighted.delete(node);
  for (;;) {
    const { wanted, ...plan } = propagate(model, { weighted, moves, arithmetic, resultOf, leftFloat: left.tensors });
    // A sum with an operand that stays float is a float sum: what else it adds up need not be integers for its sake.
    const torn = [...arithmetic].filter((node) => wanted.has(resultOf(node)) && !plan.nodes.has(node));
    if (torn.length === 0) return { ...plan, between: layersBetween(all, plan, { moves, index }) };
    for (const node of torn) arithmetic.delete(node);
  }
}

function propagate(
  { graph }: Model,
  {
    weighted,
    moves,
    arithmetic,
    resultOf,
    leftFloat,
  }: {
    weighted: ReadonlyMap<NodeProto, WeightedNode>;
    moves: ReadonlySet<NodeProto>;
    arithmetic: ReadonlySet<NodeProto>;
    resultOf: (node: NodeProto) => string;
    leftFloat: ReadonlySet<string>;
  },
): Omit<IntegerPlan, 'between'> & { wanted: Set<string> } {
  const operands = (node: NodeProto) =>
    moves.has(node) ? node.input.slice(0, 1) : arithmetic.has(node) ? node.input : [];
  // Backwards: whose result ends in an integer layer. What a layer reads is made into integers wherever it comes from.
  const layers = [...weighted.values()];
  const read = new Set(layers.map(({ input }) => input));
  const wanted = new Set(read);
  for (const node of graph.node.toReversed())
    if (wanted.has(resultOf(node)) && !leftFloat.has(resultOf(node)))
      for (const name of operands(node)) wanted.add(name);
  // Forwards: what there is as integers.
  const tensors = new Map<string, string>();
  for (const { name } of graph.input) if (read.has(name)) tensors.set(name, name);
  const nodes = new Set<NodeProto>(weighted.keys());
  const made = new Set<string>();
  for (const node of graph.node) {
    const result = resultOf(node);
    const names = operands(node);
    const passes = names.length > 0 && names.every((name) => tensors.has(name));
    // A convolution has no kernel that reads integers and writes floats; products do.
    const isResult = weighted.has(node) ? isOperator(node, 'Conv') || wanted.has(result) : passes && wanted.has(result);
    if (isResult && !leftFloat.has(result)) {
      nodes.add(node);
      made.add(result);
      tensors.set(result, (moves.has(node) ? tensors.get(names[0] ?? '') : undefined) ?? result);
    }
    for (const name of node.output) if (read.has(name) && !tensors.has(name)) tensors.set(name, name);
  }
  return { layers, tensors, nodes, made, wanted };
}

function layersBetween(
  layers: readonly WeightedNode[],
  { nodes, made }: Pick<IntegerPlan, 'nodes' | 'made'>,
  { moves, index }: { moves: ReadonlySet<NodeProto>; index: GraphIndex },
): Map<WeightedNode, string> {
  const between = new Map<WeightedNode, string>();
  for (const layer of layers) {
    if (nodes.has(layer.node)) continue;
    let from = layer.input;
    for (let node = index.producer(from); !made.has(from) && node !== null && moves.has(node);)
      node = index.producer((from = node.input[0] ?? ''));
    if (made.has(from)) between.set(layer, from);
  }
  return between;
}

const NOTHING: LeftFloat = { layers: new Set(), tensors: new Set() };

/**
 * Convolutions over one to three axes, grouped and depthwise ones too, Gemm, and MatMul with a matrix on the right;
 * float32 constants as weights and bias.
 */
function isIntegerLayer({ node, op, weight, input, m }: WeightedNode, index: GraphIndex): boolean {
  if (!isOperator(node, 'Conv', 'Gemm', 'MatMul')) return false;
  if (weight?.dataType !== DataType.FLOAT || node.input[1] !== weight.name) return false;
  const dims = tensorDims(weight);
  if (index.initializer(input) !== null || elementCount(dims) === 0) return false;
  if (!(elementCount(dims) / m <= MOST_PRODUCTS)) return false;
  const biasName = node.input[2] ?? '';
  const bias = index.initializer(biasName);
  if (biasName !== '' && (bias?.dataType !== DataType.FLOAT || !isRowBias(tensorDims(bias), m))) return false;
  if (op === 'Conv') return isOperator(node, 'Conv') && dims.length >= 3 && dims.length <= 5 && m === dims[0];
  return dims.length === 2 && !(op === 'Gemm' && intAttribute(node, 'transA', 0) !== 0);
}

function isMove(node: NodeProto, index: GraphIndex): boolean {
  if (!MOVES.has(operatorOf(node))) return false;
  if (index.initializer(node.input[0]) !== null || node.output.slice(1).some((name) => name !== '')) return false;
  if (isOperator(node, 'Resize') && !isRepeating(node)) return false;
  return node.input.slice(1).every((name) => name === '' || index.initializer(name) !== null);
}

/** Whether a `Resize` makes no values of its own. */
const isRepeating = (node: NodeProto): boolean =>
  stringAttribute(node, 'mode', 'nearest') === 'nearest' &&
  stringAttribute(node, 'coordinate_transformation_mode', '') !== 'tf_crop_and_resize';

function isArithmetic(node: NodeProto, index: GraphIndex): boolean {
  if (!ARITHMETIC.has(operatorOf(node))) return false;
  if (node.input.some((name) => index.initializer(name) !== null)) return false;
  if (!isOperator(node, 'AveragePool')) return true;
  const dilated = intsAttribute(node, 'dilations')?.some((d) => d !== 1) ?? false;
  return !dilated && !(hasAttribute(node, 'ceil_mode') && intAttribute(node, 'ceil_mode', 0) !== 0);
}

/** `tensor`, or what a rectifier that alone reads it makes of it: the limits of the integers do the same. */
function rectified(tensor: string, index: GraphIndex, model: Model): string {
  const node = index.soleConsumer(tensor);
  if (node === null || node.input[0] !== tensor) return tensor;
  return isOperator(node, 'Relu') || (isOperator(node, 'Clip') && holdsZero(node, index, model))
    ? (node.output[0] ?? tensor)
    : tensor;
}

function holdsZero(node: NodeProto, index: GraphIndex, { directory }: Model): boolean {
  const limit = (position: number) => {
    const tensor = index.initializer(node.input[position]);
    return tensor === null ? null : scalarValue(tensor, directory);
  };
  const [low, high] = [limit(1), limit(2)];
  return low !== null && high !== null && low <= 0 && high > 0;
}
