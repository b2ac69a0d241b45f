import type { GraphProto, NodeProto, TensorProto } from '../ir/messages.js';
import { initializersOf } from '../ir/model.js';
import { operatorOf } from '../ir/operator.js';
import { UniqueNames } from './unique-names.js';

/** Who makes and who reads every tensor of a graph. A snapshot: make a new one after changing the graph. */
export class GraphIndex {
  readonly initializers: Map<string, TensorProto>;
  private readonly producers = new Map<string, NodeProto>();
  private readonly readers = new Map<string, NodeProto[]>();
  private readonly outputs: Set<string>;

  constructor(readonly graph: GraphProto) {
    this.initializers = initializersOf(graph);
    this.outputs = new Set(graph.output.map((output) => output.name));
    for (const node of graph.node) {
      for (const name of node.output) if (name !== '') this.producers.set(name, node);
      for (const name of readBy(node)) {
        const known = this.readers.get(name);
        if (known === undefined) this.readers.set(name, [node]);
        else known.push(node);
      }
    }
  }

  initializer(name: string | undefined): TensorProto | null {
    return name === undefined ? null : (this.initializers.get(name) ?? null);
  }

  producer(name: string | undefined): NodeProto | null {
    return name === undefined ? null : (this.producers.get(name) ?? null);
  }

  /** Nodes that read `name`, once per node; nodes whose subgraphs read it are among them. */
  consumers(name: string): readonly NodeProto[] {
    return this.readers.get(name) ?? [];
  }

  isOutput(name: string): boolean {
    return this.outputs.has(name);
  }

  /** The only node that reads `name`, if nothing else sees that tensor. */
  soleConsumer(name: string): NodeProto | null {
    const readers = this.consumers(name);
    return readers.length === 1 && !this.isOutput(name) ? (readers[0] ?? null) : null;
  }
}

/** Of If, Loop and Scan. */
export function subgraphs(node: Pick<NodeProto, 'attribute'>): GraphProto[] {
  return node.attribute.flatMap((a) => [...(a.g == null ? [] : [a.g]), ...(a.graphs ?? [])]);
}

/** Names that the subgraphs of `node` (If, Loop, Scan) take from outside or may take. */
export function capturedBy(node: NodeProto): Set<string> {
  const names = new Set<string>();
  for (const graph of subgraphs(node)) {
    const inner = new Set([...graph.initializer.map((t) => t.name), ...graph.input.map((i) => i.name)]);
    for (const child of graph.node) {
      for (const name of readBy(child)) if (!inner.has(name)) names.add(name);
      for (const name of child.output) inner.add(name);
    }
    for (const output of graph.output) if (!inner.has(output.name)) names.add(output.name);
  }
  return names;
}

/** Names of the tensors that `node` and its subgraphs read, each once. */
export function readBy(node: NodeProto): Set<string> {
  const names = new Set(node.input.filter((name) => name !== ''));
  for (const name of capturedBy(node)) names.add(name);
  return names;
}

/** Nodes of the graph and of all subgraphs. */
export function* allNodes(graph: Pick<GraphProto, 'node'>): Generator<NodeProto> {
  for (const node of graph.node) {
    yield node;
    for (const inner of subgraphs(node)) yield* allNodes(inner);
  }
}

/** Tensors of the graph, of its subgraphs and of its constants. */
export function* allTensors(graph: GraphProto): Generator<{ tensor: TensorProto; owner: string }> {
  for (const tensor of graph.initializer) yield { tensor, owner: `initializer ${tensor.name}` };
  for (const node of graph.node) {
    const owner = `node ${node.name === '' ? (node.output[0] ?? operatorOf(node)) : node.name}`;
    for (const attribute of node.attribute) {
      if (attribute.t != null) yield { tensor: attribute.t, owner };
      for (const tensor of attribute.tensors ?? []) yield { tensor, owner };
    }
    for (const inner of subgraphs(node)) yield* allTensors(inner);
  }
}

/** Gives names that nothing in the graph or its subgraphs uses yet. */
export class NameSource extends UniqueNames {
  constructor(graph: GraphProto) {
    super();
    this.collect(graph);
  }

  private collect(graph: GraphProto): void {
    for (const { name } of [...graph.initializer, ...graph.input, ...graph.output, ...graph.valueInfo]) this.add(name);
    for (const node of allNodes(graph)) {
      for (const name of [node.name, ...node.input, ...node.output]) this.add(name);
    }
  }
}
