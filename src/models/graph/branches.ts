import type { GraphProto, NodeProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { isOperator } from '../ir/operator.js';
import { GraphIndex, readBy } from './graph-index.js';
import { weightedNodes, type WeightedNode } from './weighted-nodes.js';

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
  /** Sums inside of the branch that have a branch themselves. */
  inner: string[];
}

/** Graphs are not changed once they are part of a model, and a plan asks for the same one many times. */
const known = new WeakMap<GraphProto, Branch[]>();

/**
 * The branches of all sums of two computed tensors, in graph order: of each sum one at most, that with more nodes with weights. None
 * has weights that a node outside of it reads as well. Whether both tensors of a sum have the same shape, a graph does not say.
 */
export function branchesOf(model: Model): Branch[] {
  const before = known.get(model.graph);
  if (before !== undefined) return before;
  const found = findBranches(model);
  known.set(model.graph, found);
  return found;
}

function findBranches(model: Model): Branch[] {
  const index = new GraphIndex(model.graph);
  const weighted = new Map<NodeProto, WeightedNode>();
  for (const layer of weightedNodes(model)) {
    weighted.set(layer.node, layer);
    // Of a product with its bias behind it.
    if (layer.add !== null) weighted.set(layer.add, layer);
  }
  const places = new Map(model.graph.node.map((node, place) => [node, place]));
  const found = model.graph.node.flatMap((node): (Omit<Branch, 'inner'> & { inside: ReadonlySet<NodeProto> })[] => {
    const sum = node.output[0] ?? '';
    const [a = '', b = ''] = node.input;
    if (!isOperator(node, 'Add') || weighted.has(node) || a === b || sum === '') return [];
    if ([a, b].some((name) => name === '' || index.initializer(name) !== null)) return [];
    const sides = [
      { stays: a, goes: b },
      { stays: b, goes: a },
    ].flatMap(({ stays, goes }) => {
      const inside = aloneFor({ stays, goes }, node, index);
      const layers = [...inside].flatMap((one) => weighted.get(one) ?? []);
      const isOwn = (name: string | undefined) =>
        name === undefined || index.consumers(name).every((reader) => inside.has(reader));
      if (layers.length === 0 || !layers.every(({ weight, bias }) => isOwn(weight?.name) && isOwn(bias?.name)))
        return [];
      const inOrder = layers.sort((one, other) => (places.get(one.node) ?? 0) - (places.get(other.node) ?? 0));
      return [{ sum, stays, goes, nodes: [...new Set(inOrder.map(({ name }) => name))], inside }];
    });
    return sides.sort((one, other) => other.nodes.length - one.nodes.length).slice(0, 1);
  });
  const sums = new Set(found.map(({ sum }) => sum));
  return found.map(({ inside, ...branch }) => ({
    ...branch,
    inner: [...inside].flatMap(({ output: [made = ''] }) => (sums.has(made) ? [made] : [])),
  }));
}

/** The nodes that `reader` alone needs, and for `goes` alone. */
function aloneFor(
  { stays, goes }: Pick<Branch, 'stays' | 'goes'>,
  reader: NodeProto,
  index: GraphIndex,
): Set<NodeProto> {
  const inside = new Set<NodeProto>();
  if (index.soleConsumer(goes) !== reader) return inside;
  const isAlone = (name: string) =>
    name !== stays &&
    !index.isOutput(name) &&
    index.consumers(name).every((node) => node === reader || inside.has(node));
  // A node is looked at once for each of its readers that is inside: after the last of them it is alone or not.
  const open = [goes];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const node = index.producer(name);
    if (node === null || inside.has(node)) continue;
    if (!node.output.every((made) => made === '' || isAlone(made))) continue;
    inside.add(node);
    open.push(...readBy(node));
  }
  return inside;
}
