import { intAttribute, intsAttribute } from '../ir/attributes.js';
import { foldAffine } from './fold-affine.js';
import { GraphIndex, capturedBy } from '../graph/graph-index.js';
import {
  DataType,
  int64ToNumber,
  withFields,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from '../ir/messages.js';
import { realInputs, type Model } from '../ir/model.js';
import { isOperator } from '../ir/operator.js';
import { permuted } from '../ir/permute.js';
import {
  elementCount,
  floatTensor,
  int64Tensor,
  scalarValue,
  tensorDims,
  tensorFloats,
  tensorInts,
} from '../ir/tensors.js';

/**
 * A copy of the model made ready for inference: constants become initializers, pass-through nodes go away, and
 * normalisations, scales and biases are folded into the layers before them. Computes the same function; `model` stays
 * as it is.
 */
export function prepare(model: Model): Model {
  const graph = withFields(model.graph, {
    node: model.graph.node.map((node) => withFields(node, { input: [...node.input], output: [...node.output] })),
    initializer: [...model.graph.initializer],
    // An initializer that is listed as an input too could be overridden by the caller; a trained weight is not.
    input: realInputs(model.graph),
    output: [...model.graph.output],
    valueInfo: [...model.graph.valueInfo],
  });
  liftConstants(graph);
  dropPassThrough(graph, model);
  foldMovedConstants(graph, model.directory);
  foldAffine(graph, model);
  tidy(graph);
  // Initializers that are not inputs are allowed from IR version 4 on.
  const irVersion = Math.max(4, int64ToNumber(model.proto.irVersion));
  return { ...model, graph, proto: withFields(model.proto, { graph, irVersion }) };
}

/** Drops initializers and shapes of tensors that nothing uses any more. */
export function tidy(graph: GraphProto): void {
  const index = new GraphIndex(graph);
  const known = new Set(graph.node.flatMap((node) => node.output));
  graph.initializer = graph.initializer.filter(({ name }) => index.consumers(name).length > 0 || index.isOutput(name));
  graph.valueInfo = graph.valueInfo.filter(({ name }) => known.has(name));
}

function liftConstants(graph: GraphProto): void {
  const outputs = new Set(graph.output.map(({ name }) => name));
  graph.node = graph.node.filter((node) => {
    const name = node.output[0];
    if (!isOperator(node, 'Constant') || name === undefined || outputs.has(name)) return true;
    const tensor = constantTensor(node, name);
    if (tensor === null) return true;
    graph.initializer.push(tensor);
    return false;
  });
}

function constantTensor(node: NodeProto, name: string): TensorProto | null {
  const [attribute] = node.attribute;
  if (attribute === undefined || node.attribute.length !== 1) return null;
  if (attribute.name === 'value' && attribute.t != null) return withFields(attribute.t, { name });
  if (attribute.name === 'value_float') return floatTensor(name, [], Float32Array.of(attribute.f ?? 0));
  if (attribute.name === 'value_floats') {
    const floats = Float32Array.from(attribute.floats ?? []);
    return floatTensor(name, [floats.length], floats);
  }
  const ints = (attribute.name === 'value_int' ? [attribute.i ?? 0] : (attribute.ints ?? [])).map(int64ToNumber);
  if (!attribute.name.startsWith('value_int') || ints.some((v) => Number.isNaN(v))) return null;
  return int64Tensor(name, attribute.name === 'value_int' ? [] : [ints.length], ints);
}

/** Identity, and Dropout in inference. */
function dropPassThrough(graph: GraphProto, model: Model): void {
  const index = new GraphIndex(graph);
  const captured = new Set(graph.node.flatMap((node) => [...capturedBy(node)]));
  const replaced = new Map<string, string>();
  const dropped = new Set<NodeProto>();
  for (const node of graph.node) {
    const [from, to] = [node.input[0], node.output[0]];
    if (from === undefined || to === undefined || !isPassThrough(node, index, model) || captured.has(to)) continue;
    // In order of the graph, so `from` itself is replaced already.
    replaced.set(to, replaced.get(from) ?? from);
    if (!index.isOutput(to)) dropped.add(node);
  }
  graph.node = graph.node.filter((node) => !dropped.has(node));
  for (const node of graph.node) node.input = node.input.map((name) => replaced.get(name) ?? name);
}

function isPassThrough(node: NodeProto, index: GraphIndex, model: Model): boolean {
  if (isOperator(node, 'Identity')) return true;
  if (!isOperator(node, 'Dropout')) return false;
  const mask = node.output[1];
  if (mask !== undefined && mask !== '' && (index.consumers(mask).length > 0 || index.isOutput(mask))) return false;
  const training = node.input[2];
  if (training === undefined || training === '') return true;
  const flag = index.initializer(training);
  return flag !== null && scalarValue(flag, model.directory) === 0;
}

/**
 * Weights stored the other way round and turned by a Transpose node, or put into another shape. What several nodes turn
 * alike stays one tensor; what others read as it is would be two, and is left.
 */
function foldMovedConstants(graph: GraphProto, directory: string | null): void {
  const index = new GraphIndex(graph);
  const captured = new Set(graph.node.flatMap((node) => [...capturedBy(node)]));
  const turned = new Map<string, TensorProto>();
  const replaced = new Map<string, string>();
  graph.node = graph.node.filter((node) => {
    const [output] = node.output;
    const tensor = index.initializer(node.input[0]);
    if (output === undefined || tensor?.dataType !== DataType.FLOAT) return true;
    if (index.isOutput(output) || captured.has(output) || captured.has(tensor.name)) return true;
    if (!alikeForAll(node, index.consumers(tensor.name), tensorDims(tensor).length)) return true;
    const known = turned.get(tensor.name);
    if (known !== undefined) {
      replaced.set(output, known.name);
      // By its own name, for what moves it once more.
      index.initializers.set(output, withFields(known, { name: output }));
      return false;
    }
    const moved = movedConstant(node, { name: output, tensor }, index, directory);
    if (moved === null) return true;
    graph.initializer.push(moved);
    // It may be moved once more.
    index.initializers.set(output, moved);
    turned.set(tensor.name, moved);
    return false;
  });
  for (const node of graph.node) node.input = node.input.map((name) => replaced.get(name) ?? name);
}

/** Whether all readers of a constant are Transpose nodes that make the same of it; one reader alone may do what it likes. */
function alikeForAll(node: NodeProto, readers: readonly NodeProto[], rank: number): boolean {
  const perm = String(permOf(node, rank));
  return (
    readers.length === 1 ||
    readers.every((reader) => isOperator(reader, 'Transpose') && String(permOf(reader, rank)) === perm)
  );
}

/** Of a Transpose, which turns the axes round where nothing else is said. */
const permOf = (node: NodeProto, rank: number): number[] =>
  intsAttribute(node, 'perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);

function movedConstant(
  node: NodeProto,
  { name, tensor }: { name: string; tensor: TensorProto },
  index: GraphIndex,
  directory: string | null,
): TensorProto | null {
  const dims = tensorDims(tensor);
  if (isOperator(node, 'Transpose')) {
    const perm = permOf(node, dims.length);
    const turned = permuted(tensorFloats(tensor, directory), dims, perm);
    return floatTensor(name, turned.dims, turned.data);
  }
  if (!isOperator(node, 'Reshape') || intAttribute(node, 'allowzero', 0) !== 0) return null;
  const wanted = index.initializer(node.input[1]);
  const shape = wanted === null ? null : reshaped(dims, tensorInts(wanted, directory));
  return shape === null ? null : floatTensor(name, shape, tensorFloats(tensor, directory));
}

/** The shape that Reshape gives: 0 keeps a dimension, one -1 is worked out. Null when it does not fit. */
function reshaped(dims: readonly number[], wanted: readonly number[]): number[] | null {
  const shape = wanted.map((d, i) => (d === 0 ? (dims[i] ?? 0) : d));
  const open = shape.indexOf(-1);
  const count = elementCount(dims);
  if (open >= 0) shape[open] = count / shape.reduce((product, d, i) => (i === open ? product : product * d), 1);
  return shape.every((d) => Number.isInteger(d) && d > 0) && elementCount(shape) === count ? shape : null;
}
