import { intAttribute, intsAttribute, makeNode } from '../ir/attributes.js';
import { GraphIndex, NameSource } from '../graph/graph-index.js';
import { withFields, type NodeProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { isOperator } from '../ir/operator.js';
import { int64Tensor, tensorInts } from '../ir/tensors.js';

/**
 * `Split` as a slice for each part, so that every node has one output that matters.
 * @param sizesOf sizes of the parts along the axis, or null where they are not known; default: as the node has them
 */
export function slicedSplits(
  model: Model,
  sizesOf: (node: NodeProto) => readonly number[] | null = givenSizes(model),
): Model {
  const { graph } = model;
  const names = new NameSource(graph);
  const initializer = [...graph.initializer];
  const ints = (value: number): string => {
    const name = names.fresh('part');
    initializer.push(int64Tensor(name, [1], [value]));
    return name;
  };
  const node = graph.node.flatMap((old) => {
    const sizes = isOperator(old, 'Split') ? sizesOf(old) : null;
    if (sizes === null) return [old];
    const axis = intAttribute(old, 'axis', 0);
    let from = 0;
    return old.output.flatMap((name, i) => {
      const start = from;
      from += sizes[i] ?? 0;
      if (name === '') return [];
      const inputs = [old.input[0] ?? '', ints(start), ints(from), ints(axis)];
      return [makeNode('Slice', names.fresh('slice'), inputs, [name])];
    });
  });
  const own = withFields(graph, { node, initializer });
  return { ...model, graph: own, proto: withFields(model.proto, { graph: own }) };
}

function givenSizes({ graph, directory }: Model): (node: NodeProto) => number[] | null {
  const index = new GraphIndex(graph);
  return (node) => {
    const sizes = index.initializer(node.input[1]);
    return sizes === null ? intsAttribute(node, 'split') : tensorInts(sizes, directory);
  };
}
