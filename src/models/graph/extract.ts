import { GraphIndex, NameSource, readBy } from './graph-index.js';
import { DataType, withFields, type GraphProto, type NodeProto, type ValueInfoProto } from '../ir/messages.js';
import { initializersOf, realInputs, type Model } from '../ir/model.js';
import { isOperator } from '../ir/operator.js';

/** What a part of a network reads: tensors given to it, and inputs of the network itself. */
export interface Extracted {
  model: Model;
  /** Names the part must be fed with, a subset of `from` and of the network's inputs. */
  inputs: string[];
}

/**
 * The part of a network that computes `to` from the tensors `from` (float32 or quantized, of any shape) and, where
 * these do not suffice, from the network's inputs. Weights are shared, not copied.
 */
export function extract(model: Model, from: Iterable<string>, to: readonly string[]): Extracted {
  const { graph } = model;
  const index = new GraphIndex(graph);
  const given = new Set(from);
  const networkInputs = new Map(realInputs(graph).map((input) => [input.name, input]));
  const initializers = initializersOf(graph);

  const nodes = new Set<NodeProto>();
  const inputs = new Set<string>();
  const used = new Set<string>();
  const pending = [...to];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (given.has(name) || networkInputs.has(name)) {
      inputs.add(name);
      continue;
    }
    if (initializers.has(name)) {
      used.add(name);
      continue;
    }
    const node = index.producer(name);
    if (node === null) throw new RangeError(`nothing in the graph makes ${name}`);
    if (nodes.has(node)) continue;
    nodes.add(node);
    pending.push(...readBy(node));
  }

  const info = (name: string): ValueInfoProto =>
    networkInputs.get(name) ?? { name, type: { tensorType: { elemType: elementType(name, index) } } };
  const outputs = new Map(graph.output.map((output) => [output.name, output]));
  const names = new NameSource(graph);
  // A node of several outputs may be needed for one of them and make another, which is given.
  const withoutGiven = (node: NodeProto): NodeProto =>
    node.output.some((name) => inputs.has(name))
      ? withFields(node, { output: node.output.map((name) => (inputs.has(name) ? names.fresh(name) : name)) })
      : node;
  const part: GraphProto = withFields(graph, {
    node: graph.node.filter((node) => nodes.has(node)).map(withoutGiven),
    initializer: graph.initializer.filter((tensor) => used.has(tensor.name)),
    input: [...inputs].map(info),
    // A wanted tensor that is also given needs no node: the caller has it already.
    output: to.filter((name) => !inputs.has(name)).map((name) => outputs.get(name) ?? info(name)),
    valueInfo: [],
  });
  return { model: { ...model, graph: part, proto: withFields(model.proto, { graph: part }) }, inputs: [...inputs] };
}

/** Of an inner tensor: float32, or the integers that float32 is quantized to. */
function elementType(name: string, index: GraphIndex): number {
  const producer = index.producer(name);
  if (producer === null || !isOperator(producer, 'QuantizeLinear')) return DataType.FLOAT;
  return index.initializer(producer.input[2])?.dataType ?? DataType.UINT8;
}

/** Tensors of `candidates` that some node not yet in `done` still reads: what a sequential pass has to keep. */
export function stillNeeded(model: Model, candidates: Iterable<string>, remaining: readonly string[]): Set<string> {
  const all = [...candidates];
  const needed = new Set<string>();
  for (const target of remaining) for (const name of extract(model, all, [target]).inputs) needed.add(name);
  return needed;
}
