import type { NodeProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { isOperator } from '../ir/operator.js';
import { GraphIndex } from './graph-index.js';
import { weightedNodes } from './weighted-nodes.js';

/**
 * One of the two tensors of a sum, with everything that is computed for it alone: the branch of a residual block. Without it
 * the other one takes the place of the sum, as in a network that is not as deep.
 */
export interface Branch {
  /** The tensor that the sum makes. */
  sum: string;
  /** What of the sum stays, and what goes. */
  stays: string;
  goes: string;
  /** Nodes with weights in the branch, by name, in graph order. */
  nodes: string[];
}

/**
 * The branches of all sums of two computed tensors, in graph order: of each sum one at most, that with more nodes with weights,
 * and none that has another one inside. Whether both tensors of a sum have the same shape, a graph does not say.
 */
export function branchesOf(model: Model): Branch[] {
  const index = new GraphIndex(model.graph);
  const weighted = new Map<NodeProto, string>();
  for (const { node, add, name } of weightedNodes(model)) {
    weighted.set(node, name);
    // Of a product with its bias behind it.
    if (add !== null) weighted.set(add, name);
  }
  const found = model.graph.node.flatMap((node): (Branch & { inside: ReadonlySet<NodeProto> })[] => {
    const sum = node.output[0] ?? '';
    const [a = '', b = ''] = node.input;
    if (!isOperator(node, 'Add') || weighted.has(node) || a === b || sum === '') return [];
    if ([a, b].some((name) => name === '' || index.initializer(name) !== null)) return [];
    const sides = [
      { stays: a, goes: b },
      { stays: b, goes: a },
    ].flatMap(({ stays, goes }) => {
      const inside = aloneFor({ stays, goes }, node, index, model);
      const nodes = model.graph.node.flatMap((one) => (inside.has(one) ? (weighted.get(one) ?? []) : []));
      return nodes.length === 0 ? [] : [{ sum, stays, goes, nodes: [...new Set(nodes)], inside }];
    });
    return sides.sort((one, other) => other.nodes.length - one.nodes.length).slice(0, 1);
  });
  const sums = new Map(found.map((branch) => [branch.sum, branch]));
  return found
    .filter(({ inside }) => ![...inside].some(({ output }) => sums.has(output[0] ?? '')))
    .map(({ sum, stays, goes, nodes }) => ({ sum, stays, goes, nodes }));
}

/** The nodes that `reader` alone needs, and for `goes` alone. */
function aloneFor(
  { stays, goes }: Pick<Branch, 'stays' | 'goes'>,
  reader: NodeProto,
  index: GraphIndex,
  { graph }: Model,
): Set<NodeProto> {
  const inside = new Set<NodeProto>();
  const isAlone = (name: string) =>
    name !== stays &&
    !index.isOutput(name) &&
    index.consumers(name).every((node) => node === reader || inside.has(node));
  // Against the order of the graph: all readers of a node come before it.
  for (const node of graph.node.toReversed()) {
    const made = node.output.filter((name) => name !== '');
    const isRead = made.some((name) => name === goes || index.consumers(name).some((other) => inside.has(other)));
    if (isRead && made.every(isAlone)) inside.add(node);
  }
  return inside;
}
