import { GraphIndex, allTensors, readBy } from './graph-index.js';
import { DataType, type GraphProto, type NodeProto, type TensorProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { operatorOf } from '../ir/operator.js';
import { elementCount, tensorDims } from '../ir/tensors.js';
import type { WeightedNode } from './weighted-nodes.js';

/** What holds no weights: shapes, indices, conditions and texts. */
const NO_WEIGHTS: ReadonlySet<number> = new Set([
  DataType.INT32,
  DataType.INT64,
  DataType.UINT32,
  DataType.UINT64,
  DataType.BOOL,
  DataType.STRING,
]);

/** Their second and third inputs belong to how numbers are kept, not to what they are. */
const CODINGS = new Set(['QuantizeLinear', 'DequantizeLinear'].flatMap((name) => [name, `com.microsoft::${name}`]));

/** Their inputs behind the first say how large the result is. */
const RESIZES = new Set(['Resize', 'Upsample']);

/**
 * Numbers that the network holds outside of its layers, each tensor once: in subgraphs (If, Loop, Scan), in operators
 * of other domains, in embeddings, slopes, normalizations that could not be folded. A count without them would call a
 * network small that is not.
 * @param layers the weighted nodes of the model
 */
export function weightsBeside({ graph }: Model, layers: readonly WeightedNode[]): number {
  const index = new GraphIndex(graph);
  const apart = ownedBy(graph, layers, index);
  for (const node of graph.node)
    if (CODINGS.has(operatorOf(node)) || RESIZES.has(operatorOf(node)))
      for (const name of node.input.slice(1)) apart.add(name);
  const main = new Set<TensorProto>(graph.initializer.filter(({ name }) => apart.has(name)));
  let numbers = 0;
  for (const { tensor } of allTensors(graph)) if (!main.has(tensor)) numbers += numbersIn(tensor);
  return numbers;
}

/** A single number is a limit, an exponent or an epsilon. */
function numbersIn(tensor: TensorProto): number {
  const count = elementCount(tensorDims(tensor));
  return count > 1 && !NO_WEIGHTS.has(tensor.dataType) ? count : 0;
}

/** Constants behind the weights and biases of layers, coded ones with all that decodes them. */
function ownedBy(graph: GraphProto, layers: readonly WeightedNode[], index: GraphIndex): Set<string> {
  const constant = new Set(index.initializers.keys());
  for (const node of graph.node)
    if ([...readBy(node)].every((name) => constant.has(name))) for (const name of node.output) constant.add(name);
  const owned = new Set<string>();
  const pending = layers.flatMap((layer) => [...weightInputs(layer), ...(layer.add?.input ?? [])]);
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (!constant.has(name) || owned.has(name)) continue;
    owned.add(name);
    const maker: NodeProto | null = index.producer(name);
    if (maker !== null) pending.push(...readBy(maker));
  }
  return owned;
}

/** Of a recurrent layer those that are counted as its own. */
const weightInputs = ({ node, recurrence }: WeightedNode): string[] =>
  recurrence === null ? node.input : node.input.slice(1, 4);
