import { GraphIndex, NameSource } from '../graph/graph-index.js';
import { withFields, type GraphProto, type NodeProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { operatorOf } from '../ir/operator.js';

/** Never decrease, and so may come before a maximum instead of after it. */
const RECTIFIERS = new Set(['Relu', 'Clip']);
const MOVES = new Set(['Flatten', 'Reshape', 'Squeeze', 'Unsqueeze', 'Transpose', 'MaxPool']);

/** A rectifier goes over so many nodes at most. */
const SWEEPS = 8;

/**
 * The same network with rectifiers in front of the pooling (or moving) nodes before them, where nothing else sees what
 * lies between: next to the layer, whose integers can take their place.
 */
export function rectifyFirst(model: Model): Model {
  const names = new NameSource(model.graph);
  let { graph } = model;
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const changes = swaps(graph, names);
    if (changes.size === 0) break;
    graph = withFields(graph, { node: graph.node.flatMap((old) => changes.get(old) ?? [old]) });
  }
  return graph === model.graph ? model : { ...model, graph, proto: withFields(model.proto, { graph }) };
}

function swaps(graph: GraphProto, names: NameSource): Map<NodeProto, NodeProto[]> {
  const index = new GraphIndex(graph);
  const changes = new Map<NodeProto, NodeProto[]>();
  for (const move of graph.node) {
    const [from, between] = [move.input[0] ?? '', move.output[0] ?? ''];
    const rectifier = index.soleConsumer(between);
    if (!MOVES.has(operatorOf(move)) || rectifier === null || !RECTIFIERS.has(operatorOf(rectifier))) continue;
    if (changes.has(move) || index.producer(from) === null || rectifier.input[0] !== between) continue;
    if (move.output.slice(1).some((name) => name !== '')) continue;
    // Limits that are computed may be known too late.
    if (rectifier.input.slice(1).some((name) => index.initializer(name) === null)) continue;
    const rectified = names.fresh(`${from}_rectified`);
    changes.set(move, [
      withFields(rectifier, { input: [from, ...rectifier.input.slice(1)], output: [rectified] }),
      withFields(move, { input: [rectified, ...move.input.slice(1)], output: rectifier.output }),
    ]);
    changes.set(rectifier, []);
  }
  return changes;
}
