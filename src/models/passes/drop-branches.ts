import { branchesOf } from '../graph/branches.js';
import { GraphIndex, readBy, subgraphs } from '../graph/graph-index.js';
import { makeNode } from '../ir/attributes.js';
import { withFields, type GraphProto, type NodeProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { isOperator } from '../ir/operator.js';
import { tidy } from './prepare.js';

/**
 * A copy without some branches. All tensors that stay keep their names: the sum is an Identity.
 * @param dropped branches, by their sums
 * @throws {RangeError} for a sum of which there is no branch
 */
export function withoutBranches(model: Model, dropped: Iterable<string>): Model {
  const sums = new Set(dropped);
  if (sums.size === 0) return model;
  const branches = new Map(branchesOf(model).map((branch) => [branch.sum, branch]));
  const unknown = [...sums].find((sum) => !branches.has(sum));
  if (unknown !== undefined) throw new RangeError(`the model has no branch of ${unknown}`);
  const node = model.graph.node.map((old) => {
    const sum = old.output[0] ?? '';
    const branch = sums.has(sum) ? branches.get(sum) : undefined;
    return branch === undefined ? old : makeNode('Identity', old.name, [branch.stays], [sum]);
  });
  const graph = withFields(model.graph, {
    node: needed(node, model.graph),
    initializer: [...model.graph.initializer],
  });
  tidy(graph);
  return { ...model, graph, proto: withFields(model.proto, { graph }) };
}

/** The nodes, without those that no output needs. */
function needed(nodes: readonly NodeProto[], { output }: Pick<GraphProto, 'output'>): NodeProto[] {
  const read = new Set(output.map(({ name }) => name));
  const kept = nodes.toReversed().filter((node) => {
    const isRead = node.output.some((name) => read.has(name));
    if (isRead) for (const name of readBy(node)) read.add(name);
    return isRead;
  });
  return kept.reverse();
}

/** Tensors that are what another one is: of an Identity, and of a Relu of what a Relu made. By name, with the name of the other. */
export function bypasses(model: Model): Map<string, string> {
  const index = new GraphIndex(model.graph);
  const sources = new Map<string, string>();
  const source = (name: string): string => sources.get(name) ?? name;
  for (const node of model.graph.node) {
    const [output = ''] = node.output;
    const from = source(node.input[0] ?? '');
    const isBypass =
      isOperator(node, 'Identity') || (isOperator(node, 'Relu') && isOperator(index.producer(from), 'Relu'));
    if (!isBypass || index.isOutput(output) || index.producer(from) === null) continue;
    // Subgraphs read by name.
    if (index.consumers(output).every((reader) => subgraphs(reader).length === 0)) sources.set(output, from);
  }
  return sources;
}

/** A copy in which no node hands on what it gets. */
export function withoutBypasses(model: Model): Model {
  const sources = bypasses(model);
  if (sources.size === 0) return model;
  const read = (node: NodeProto): NodeProto =>
    node.input.some((name) => sources.has(name))
      ? withFields(node, { input: node.input.map((name) => sources.get(name) ?? name) })
      : node;
  const node = model.graph.node.filter(({ output }) => !sources.has(output[0] ?? '')).map(read);
  const graph = withFields(model.graph, { node });
  return { ...model, graph, proto: withFields(model.proto, { graph }) };
}
