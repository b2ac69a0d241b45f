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
  const constant = constantTensors(graph, index);
  const wanted = new Set<string>();
  for (const node of graph.node)
    for (const at of WEIGHTS.get(operatorOf(node)) ?? []) {
      const name = node.input[at] ?? '';
      if (constant.has(name) && !isStored(name, index) && sourcesOf(name, index) !== null) wanted.add(name);
    }
  if (wanted.size === 0) return model;
  const values = await computed(model, [...wanted], options);
  const folded = new Map<string, TensorProto>();
  for (const name of wanted) {
    const value = values.get(name);
    const behind = sourcesOf(name, index) ?? [];
    if (!(value?.data instanceof Float32Array) || behind.some(({ dataType }) => !PLAIN.has(dataType))) continue;
    const room = behind.reduce((sum, tensor) => sum + elementCount(tensorDims(tensor)), 0);
    if (value.data.length <= MOST_GROWTH * room) folded.set(name, floatTensor(name, [...value.dims], value.data));
  }
  if (folded.size === 0) return model;
  const own = withFields(graph, {
    node: stillRead(graph, new Set([...folded.keys()].map((name) => index.producer(name)))),
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

/** Names of tensors that depend on constants alone. */
function constantTensors(graph: GraphProto, index: GraphIndex): Set<string> {
  const given = new Set(realInputs(graph).map(({ name }) => name));
  const constant = new Set([...index.initializers.keys()].filter((name) => !given.has(name)));
  for (const node of graph.node) {
    if (LEFT_ALONE.test(operatorOf(node)) || capturedBy(node).size > 0) continue;
    if ([...readBy(node)].every((name) => constant.has(name))) for (const name of node.output) constant.add(name);
  }
  return constant;
}

/** Weights are put together in fewer steps; a longer way would cost more to follow than it is worth. */
const MOST_STEPS = 256;

/** The stored tensors behind one that depends on constants alone; null where the way to them is long. */
function sourcesOf(wanted: string, index: GraphIndex): TensorProto[] | null {
  const found = new Set<TensorProto>();
  const seen = new Set<string>();
  const pending = [wanted];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    if (seen.size > MOST_STEPS) return null;
    const stored = index.initializer(name);
    if (stored !== null) found.add(stored);
    const node = index.producer(name);
    if (node === null) continue;
    for (const { t } of node.attribute) if (t != null) found.add(t);
    pending.push(...readBy(node));
  }
  return [...found];
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

/** Nodes whose results somebody reads when those of `made` are there already. */
function stillRead(graph: GraphProto, made: ReadonlySet<NodeProto | null>): NodeProto[] {
  const needed = new Set(graph.output.map(({ name }) => name));
  // Nodes of a graph stand behind those that they read.
  const kept = graph.node.toReversed().filter((node) => {
    if (made.has(node) || !node.output.some((name) => needed.has(name))) return false;
    for (const name of readBy(node)) needed.add(name);
    return true;
  });
  return kept.reverse();
}
