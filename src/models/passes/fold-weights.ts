import { InputError } from '../../errors/index.js';
import { extract } from '../graph/extract.js';
import { GraphIndex, capturedBy, readBy } from '../graph/graph-index.js';
import { storedWeight } from '../graph/stored-weight.js';
import { DataType, withFields, type GraphProto, type NodeProto, type TensorProto } from '../ir/messages.js';
import { realInputs, type Model } from '../ir/model.js';
import { operatorOf } from '../ir/operator.js';
import { elementCount, floatTensor, tensorDims } from '../ir/tensors.js';
import { Runner } from '../run/runner.js';

/** Inputs that are weights and biases, where nothing in the graph tells them from activations but that they are constant. */
const WEIGHTS: ReadonlyMap<string, readonly number[]> = new Map([
  ['Conv', [1, 2]],
  ['ConvTranspose', [1, 2]],
  ['Gemm', [1, 2]],
  ['MatMul', [1]],
  ['LSTM', [1, 2, 3]],
  ['GRU', [1, 2, 3]],
  ['RNN', [1, 2, 3]],
]);

/** Numbers, and places of them; anything narrower is a coding. */
const PLAIN: ReadonlySet<number> = new Set([DataType.FLOAT, DataType.INT64, DataType.INT32, DataType.BOOL]);

/** Weights that are put together of others take about their room; a constant that a graph blows up is not stored so. */
const MOST_GROWTH = 1.25;

/**
 * The model with weights that its graph works out of constants worked out: the product of a direction and a size (weight
 * normalization), gates in another order, kernels put together of parts. Exporters that fold no constants leave such
 * nodes in the file, and a layer whose weights are not there cannot be compressed, nor counted. Weights in a coding
 * (quantized, from a table) stay as they are.
 */
export async function foldWeights(model: Model, options: { threads: number }): Promise<Model> {
  const { graph } = model;
  const index = new GraphIndex(graph);
  const sources = constantSources(graph, index);
  const wanted = new Set<string>();
  for (const node of graph.node)
    for (const at of WEIGHTS.get(operatorOf(node)) ?? []) {
      const name = node.input[at] ?? '';
      if (sources.has(name) && !isStored(name, index)) wanted.add(name);
    }
  if (wanted.size === 0) return model;
  const values = await computed(model, [...wanted], options);
  const folded = new Map<string, TensorProto>();
  for (const name of wanted) {
    const value = values.get(name);
    const behind = [...(sources.get(name) ?? [])];
    if (!(value?.data instanceof Float32Array) || behind.some(({ dataType }) => !PLAIN.has(dataType))) continue;
    const room = behind.reduce((sum, tensor) => sum + elementCount(tensorDims(tensor)), 0);
    if (value.data.length <= MOST_GROWTH * room) folded.set(name, floatTensor(name, [...value.dims], value.data));
  }
  if (folded.size === 0) return model;
  const makers = new Set([...folded.keys()].map((name) => index.producer(name)));
  const own = withFields(graph, {
    node: withoutUnread(graph, new Set(graph.node.filter((node) => !makers.has(node)))),
    initializer: [...graph.initializer, ...folded.values()],
  });
  return { ...model, graph: own, proto: withFields(model.proto, { graph: own }) };
}

/** What prepare turns or what is coded: in a file that is read already, weights behind such nodes are known. */
const isStored = (name: string, index: GraphIndex): boolean =>
  index.initializer(name) !== null || storedWeight(name, index) !== null || isMoved(index.producer(name), index);

const MOVES = new Set(['Transpose', 'Reshape', 'Identity', 'Constant', 'Cast']);

function isMoved(node: NodeProto | null, index: GraphIndex): boolean {
  if (node === null) return true;
  if (!MOVES.has(operatorOf(node))) return false;
  const [first] = node.input;
  return first === undefined || isStored(first, index);
}

/** Coded numbers, and what differs from run to run. */
const LEFT_ALONE = /Quantize|^Random|^Multinomial$|^Bernoulli$|::/;

/** Tensors that depend on constants alone, with the stored tensors behind each. */
function constantSources(graph: GraphProto, index: GraphIndex): Map<string, Set<TensorProto>> {
  const given = new Set(realInputs(graph).map(({ name }) => name));
  const sources = new Map<string, Set<TensorProto>>();
  for (const [name, tensor] of index.initializers) if (!given.has(name)) sources.set(name, new Set([tensor]));
  for (const node of graph.node) {
    if (LEFT_ALONE.test(operatorOf(node)) || capturedBy(node).size > 0) continue;
    const read = [...readBy(node)];
    if (!read.every((name) => sources.has(name))) continue;
    const own = node.attribute.flatMap(({ t }) => (t == null ? [] : [t]));
    const behind = new Set([...own, ...read.flatMap((name) => [...(sources.get(name) ?? [])])]);
    for (const name of node.output) if (name !== '') sources.set(name, behind);
  }
  return sources;
}

async function computed(
  model: Model,
  names: readonly string[],
  options: { threads: number },
): Promise<Awaited<ReturnType<Runner['feed']>>> {
  let runner: Runner | null = null;
  try {
    runner = await Runner.open(extract(model, [], names).model, options);
    return await runner.feed(new Map());
  } catch (error) {
    // The network itself is run later, and says what is wrong with it.
    if (error instanceof InputError) return new Map();
    throw error;
  } finally {
    await runner?.release();
  }
}

/** Without the nodes whose results nobody reads any more. */
function withoutUnread(graph: GraphProto, kept: Set<NodeProto>): NodeProto[] {
  const outputs = new Set(graph.output.map(({ name }) => name));
  for (let before = -1; before !== kept.size;) {
    before = kept.size;
    const read = new Set([...outputs, ...[...kept].flatMap((node) => [...readBy(node)])]);
    for (const node of kept) if (!node.output.some((name) => read.has(name))) kept.delete(node);
  }
  return graph.node.filter((node) => kept.has(node));
}
