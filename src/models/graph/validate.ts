import { InputError } from '../../errors/index.js';
import { GraphIndex, allNodes, allTensors, readBy } from './graph-index.js';
import {
  DataType,
  dataTypeName,
  elementBits,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from '../ir/messages.js';
import { realInputs } from '../ir/model.js';
import { operatorOf } from '../ir/operator.js';
import {
  byteSize,
  elementCount,
  externalReference,
  firstNonFinite,
  tensorBytes,
  tensorDims,
  tensorFloats,
} from '../ir/tensors.js';

export interface GraphLimits {
  maxGraphNodes: number;
  maxTensorElements: number;
  maxModelBytes: number;
}

export const OPSET_MIN = 7;
/** The newest that the installed ONNX Runtime takes; a test checks it against the runtime. */
export const OPSET_MAX = 26;

const invalid = (detail: string, pointer: string): InputError =>
  new InputError('invalid_model', detail, { faults: [{ pointer: `#model/${pointer}`, detail }] });

const tooMuch = (detail: string, pointer: string): InputError =>
  new InputError('limit_exceeded', detail, { faults: [{ pointer: `#model/${pointer}`, detail }] });

export const nodeLabel = (node: NodeProto): string =>
  node.name === '' ? `${operatorOf(node)} -> ${node.output[0] ?? ''}` : `${node.name} (${operatorOf(node)})`;

export function checkOpset(opset: number): void {
  if (Number.isInteger(opset) && opset >= OPSET_MIN && opset <= OPSET_MAX) return;
  throw invalid(
    `opset ${String(opset)} is not supported: send ${String(OPSET_MIN)} to ${String(OPSET_MAX)}`,
    'opset_import',
  );
}

/** Sizes, tensors and wiring of a graph. Returns its nodes in an order in which every input is known. */
export function checkGraph(graph: GraphProto, directory: string | null, limits: GraphLimits): NodeProto[] {
  let nodes = 0;
  for (const _ of allNodes(graph)) nodes += 1;
  if (nodes === 0) throw invalid('the graph has no nodes', 'graph');
  if (nodes > limits.maxGraphNodes) {
    throw tooMuch(`the graph has ${String(nodes)} nodes; MAX_GRAPH_NODES is ${String(limits.maxGraphNodes)}`, 'graph');
  }
  if ((graph.sparseInitializer ?? []).length > 0)
    throw invalid('sparse initializers are not supported', 'graph/sparse_initializer');
  checkNames(graph);
  checkTensors(graph, directory, limits);
  if (realInputs(graph).length === 0) throw invalid('the graph has no inputs', 'graph/input');
  if (graph.output.length === 0) throw invalid('the graph has no outputs', 'graph/output');
  return inOrder(graph);
}

/** The runtime ends a tensor's name at U+0000, and then knows none of that name. */
function checkNames(graph: GraphProto): void {
  const check = (name: string, pointer: string) => {
    if (!name.includes('\0')) return;
    throw invalid(`the name ${name} of a tensor contains the character U+0000: rename it`, pointer);
  };
  for (const { name } of graph.initializer) check(name, `initializer/${name}`);
  for (const { name } of graph.input) check(name, `input/${name}`);
  for (const { name } of graph.output) check(name, `output/${name}`);
  for (const node of graph.node) for (const name of node.output) check(name, `node/${nodeLabel(node)}`);
}

function checkTensors(graph: GraphProto, directory: string | null, limits: GraphLimits): void {
  let count = 0;
  let bytes = 0;
  const seen = new Set<string>();
  for (const tensor of graph.initializer) {
    if (tensor.name === '') throw invalid('an initializer has no name', 'graph/initializer');
    if (seen.has(tensor.name))
      throw invalid(`initializer ${tensor.name} is defined twice`, `initializer/${tensor.name}`);
    seen.add(tensor.name);
  }
  for (const { tensor, owner } of allTensors(graph)) {
    count += 1;
    if (count > limits.maxGraphNodes * 4) throw tooMuch(`more than ${String(count - 1)} tensors`, 'graph/initializer');
    checkTensor(tensor, owner, { graph, directory, limits });
    bytes += byteSize(tensor);
    if (bytes > limits.maxModelBytes) {
      throw tooMuch(
        `the tensors take more than ${String(limits.maxModelBytes)} bytes (MAX_MODEL_BYTES)`,
        'graph/initializer',
      );
    }
  }
}

function checkTensor(
  tensor: TensorProto,
  owner: string,
  { graph, directory, limits }: { graph: GraphProto; directory: string | null; limits: GraphLimits },
): void {
  const pointer = owner.replace(' ', '/');
  const dims = tensorDims(tensor);
  if (dims.some((d) => !(d >= 0))) throw invalid(`${owner} has an impossible shape [${dims.join(', ')}]`, pointer);
  if (!(elementCount(dims) <= limits.maxTensorElements)) {
    throw tooMuch(
      `${owner} of shape [${dims.join(', ')}] has more than ${String(limits.maxTensorElements)} elements (MAX_TENSOR_ELEMENTS)`,
      pointer,
    );
  }
  if (tensor.dataType === DataType.STRING) return;
  if (elementBits(tensor.dataType) === 0)
    throw invalid(`${owner} has the unknown element type ${String(tensor.dataType)}`, pointer);
  const external = externalReference(tensor);
  const expected = byteSize(tensor);
  // External files were checked when the archive was read.
  const length = external === null ? tensorBytes(tensor, null).length : external.length;
  if (length !== expected) {
    throw invalid(
      `${owner} has ${String(length)} bytes of data, but ${dataTypeName(tensor.dataType)} [${dims.join(', ')}] takes ${String(expected)}`,
      pointer,
    );
  }
  const bad = firstNonFinite(tensor, directory);
  if (bad < 0 || elementCount(dims) === 1) return;
  // An infinity is a legitimate constant (the start of a maximum, a mask in front of a softmax); in a weight it is not.
  const at = weighs(tensor, graph) ? bad : tensorFloats(tensor, directory).findIndex(Number.isNaN);
  if (at >= 0) throw nonFinite(tensor, owner, at, graph);
}

/** Whose constants are multiplied with what they get. */
const WEIGHTED = new Set(
  (
    'Conv ConvTranspose Gemm MatMul BatchNormalization InstanceNormalization LayerNormalization GroupNormalization PRelu ' +
    'Einsum LSTM GRU RNN com.microsoft::FusedConv com.microsoft::FusedGemm com.microsoft::FusedMatMul'
  ).split(' '),
);
/** Through which weights may be read. */
const MOVED = new Set(['Cast', 'DequantizeLinear', 'Identity', 'Reshape', 'Squeeze', 'Transpose', 'Unsqueeze']);

/**
 * Whether an operator with weights reads the tensor. Of a constant in a subgraph it is not known, and a mask is
 * allowed.
 */
function weighs(tensor: TensorProto, graph: GraphProto): boolean {
  const index = new GraphIndex(graph);
  const made = graph.node.find(({ attribute }) => attribute.some(({ t }) => t === tensor))?.output[0];
  const pending = [made ?? tensor.name];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (name === '') continue;
    for (const reader of index.consumers(name)) {
      if (WEIGHTED.has(operatorOf(reader))) return true;
      if (MOVED.has(operatorOf(reader))) pending.push(reader.output[0] ?? '');
    }
  }
  return false;
}

/** Names the layer too: the initializers' names of some exporters are numbers. */
function nonFinite(tensor: TensorProto, owner: string, element: number, graph: GraphProto): InputError {
  const reader = graph.node.find(({ input }) => tensor.name !== '' && input.includes(tensor.name));
  const detail = `${owner} has a NaN or infinity at element ${String(element)}${reader === undefined ? '' : `; ${nodeLabel(reader)} reads it`}`;
  return new InputError('invalid_model', detail, {
    faults: [{ pointer: `#model/${owner.replace(' ', '/')}`, detail }],
    ...(reader === undefined || reader.name === '' ? {} : { layer: reader.name }),
  });
}

/** Topological order (Kahn); undefined names, duplicates and cycles are errors that name the node. */
function inOrder(graph: GraphProto): NodeProto[] {
  const index = new GraphIndex(graph);
  const known = new Set([...graph.input.map((i) => i.name), ...index.initializers.keys()]);
  const made = new Set<string>();
  for (const node of graph.node) {
    for (const name of node.output) {
      if (name === '') continue;
      if (made.has(name) || known.has(name))
        throw invalid(`tensor ${name} is made twice (by ${nodeLabel(node)})`, `node/${nodeLabel(node)}`);
      made.add(name);
    }
  }
  const waiting = new Map<NodeProto, number>();
  const ready: NodeProto[] = [];
  for (const node of graph.node) {
    let missing = 0;
    for (const name of readBy(node)) {
      if (known.has(name)) continue;
      if (!made.has(name))
        throw invalid(`${nodeLabel(node)} reads ${name}, which nothing makes`, `node/${nodeLabel(node)}`);
      missing += 1;
    }
    if (missing === 0) ready.push(node);
    else waiting.set(node, missing);
  }
  for (const output of graph.output) {
    if (!made.has(output.name) && !known.has(output.name))
      throw invalid(`output ${output.name} is made by no node`, `output/${output.name}`);
  }
  if (isOrdered(graph, known)) return graph.node;
  const order: NodeProto[] = [];
  for (let node = ready.shift(); node !== undefined; node = ready.shift()) {
    order.push(node);
    for (const name of node.output) {
      for (const reader of name === '' ? [] : index.consumers(name)) {
        const left = (waiting.get(reader) ?? 0) - 1;
        waiting.set(reader, left);
        if (left === 0) ready.push(reader);
      }
    }
  }
  const stuck = graph.node.find((node) => (waiting.get(node) ?? 0) > 0);
  if (stuck !== undefined)
    throw invalid(`the graph has a cycle through ${nodeLabel(stuck)}`, `node/${nodeLabel(stuck)}`);
  return order;
}

/** Almost every exporter writes nodes in order; keeping theirs keeps files comparable. */
function isOrdered(graph: GraphProto, known: ReadonlySet<string>): boolean {
  const seen = new Set(known);
  for (const node of graph.node) {
    for (const name of readBy(node)) if (!seen.has(name)) return false;
    for (const name of node.output) seen.add(name);
  }
  return true;
}
