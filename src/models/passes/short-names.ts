import { withFields, type AttributeProto, type GraphProto, type NodeProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';

const DIGITS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

/**
 * The same network with tensors of as short names as there are, and nodes of none: of a small network with many layers names take
 * a quarter of the file. Inputs and outputs keep theirs.
 * @param keep names of further tensors that somebody asks for
 */
export function withShortNames(model: Model, keep: Iterable<string> = []): Model {
  const { graph } = model;
  const kept = new Set([...graph.input, ...graph.output].map(({ name }) => name).concat([...keep], ['']));
  const short = new Map<string, string>();
  let next = 0;
  const renamed = (name: string): string => {
    if (kept.has(name)) return name;
    let own = short.get(name);
    if (own === undefined) {
      do own = numeral(next++);
      while (kept.has(own));
      short.set(name, own);
    }
    return own;
  };
  const own = withNames(graph, renamed);
  return { ...model, graph: own, proto: withFields(model.proto, { graph: own }) };
}

/** With other names of tensors, none of nodes. Every name goes the same way, wherever it stands: what a subgraph takes from outside is found again. */
export function withNames(graph: GraphProto, renamed: (name: string) => string): GraphProto {
  const all = <T extends { name: string }>(values: readonly T[]): T[] =>
    values.map((value) => withFields(value, { name: renamed(value.name) } as Partial<T>));
  return withFields(graph, {
    node: graph.node.map((node) => nodeWith(node, renamed)),
    initializer: all(graph.initializer),
    input: all(graph.input),
    output: all(graph.output),
    valueInfo: [],
  });
}

function nodeWith(node: NodeProto, renamed: (name: string) => string): NodeProto {
  const inner = (attribute: AttributeProto): AttributeProto => {
    if (attribute.g == null && attribute.graphs === undefined) return attribute;
    return withFields(attribute, {
      ...(attribute.g == null ? {} : { g: withNames(attribute.g, renamed) }),
      ...(attribute.graphs === undefined ? {} : { graphs: attribute.graphs.map((graph) => withNames(graph, renamed)) }),
    });
  };
  return withFields(node, {
    name: '',
    input: node.input.map(renamed),
    output: node.output.map(renamed),
    attribute: node.attribute.map(inner),
  });
}

/** Bijective, in base 62. */
function numeral(value: number): string {
  let text = '';
  for (let rest = value; rest >= 0; rest = Math.floor(rest / DIGITS.length) - 1)
    text = (DIGITS[rest % DIGITS.length] ?? '') + text;
  return text;
}
