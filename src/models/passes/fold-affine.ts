import { floatAttribute, hasAttribute, intAttribute, makeInt } from '../ir/attributes.js';
import { denseWeightsOf, isRowBias, outputsFirst } from '../graph/dense-weights.js';
import { GraphIndex, NameSource } from '../graph/graph-index.js';
import { DataType, type GraphProto, type NodeProto, type TensorProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { isOperator, operatorOf } from '../ir/operator.js';
import { elementCount, floatTensor, tensorDims, tensorFloats } from '../ir/tensors.js';

/** y = scale * x + shift, per output channel of a layer. */
interface Affine {
  scale: Float32Array;
  shift: Float32Array;
}

/**
 * Folds what is affine per channel behind a convolution (a transposed one, too) or `Gemm` into its weights and bias: normalizations, and biases
 * and scales that exporters write as `Add` and `Mul`. Otherwise they would stand between the layer and its activation.
 */
export function foldAffine(graph: GraphProto, model: Model): void {
  const index = new GraphIndex(graph);
  const names = new NameSource(graph);
  const folded = new Set<NodeProto>();
  const chains = new Map<NodeProto, Chain>();
  for (const layer of graph.node) {
    const parts = isOperator(layer, 'Conv', 'ConvTranspose', 'Gemm') ? plainParts(layer, index) : null;
    if (parts === null) continue;
    const { nodes, affine } = chainBehind(layer, { m: parts.m, rank: parts.rank }, index, model);
    chains.set(layer, { parts, nodes, affine, scales: affine.scale.some((s) => s !== 1) });
  }
  const made = new Map<string, TensorProto[]>();
  for (const [layer, { parts, nodes, affine, scales }] of chains) {
    const output = nodes.at(-1)?.output[0];
    if (output === undefined) continue;
    // Readers that are not scaled alike keep the weights as they are: a scaled copy would be one more tensor in the file.
    const readers = index.consumers(parts.weight.name);
    if (scales && readers.length > 1 && !readers.every((reader) => scaledAlike(layer, reader, chains))) continue;
    const known = made.get(parts.weight.name) ?? [];
    made.set(parts.weight.name, known);
    replace(graph, layer, { parts, affine, scales, output, names, model, known });
    for (const node of nodes) folded.add(node);
  }
  graph.node = graph.node.filter((node) => !folded.has(node));
}

/** A layer and what is affine behind it. */
interface Chain {
  parts: Parts;
  nodes: NodeProto[];
  affine: Affine;
  scales: boolean;
}

/** Of two layers with the same weights: branches of a siamese network have the same normalization, too. */
function scaledAlike(layer: NodeProto, reader: NodeProto, chains: ReadonlyMap<NodeProto, Chain>): boolean {
  const [own, other] = [chains.get(layer), chains.get(reader)];
  if (own === undefined || other === undefined || other.parts.weight !== own.parts.weight) return false;
  const form = (node: NodeProto): string =>
    [operatorOf(node), intAttribute(node, 'transB', 0), floatAttribute(node, 'alpha', 1)].join(' ');
  return form(layer) === form(reader) && sameNumbers(own.affine.scale, other.affine.scale);
}

const sameNumbers = (a: Float32Array, b: Float32Array): boolean =>
  a.length === b.length && a.every((value, i) => value === b[i]);

interface Parts {
  weight: TensorProto;
  bias: TensorProto | null;
  m: number;
  /** Dimensions of the layer's output. */
  rank: number;
}

function plainParts(layer: NodeProto, index: GraphIndex): Parts | null {
  const weight = index.initializer(layer.input[1]);
  const biasName = layer.input[2] ?? '';
  const bias = biasName === '' ? null : index.initializer(biasName);
  if (weight?.dataType !== DataType.FLOAT || (biasName !== '' && bias?.dataType !== DataType.FLOAT)) return null;
  const dims = tensorDims(weight);
  const gemm = isOperator(layer, 'Gemm');
  const transposed = isOperator(layer, 'ConvTranspose');
  if (transposed && intAttribute(layer, 'group', 1) !== 1) return null;
  const outputsSecond = transposed || (gemm && intAttribute(layer, 'transB', 0) === 0);
  const m = dims[outputsSecond ? 1 : 0] ?? 0;
  if (m === 0 || (bias !== null && !isRowBias(tensorDims(bias), m))) return null;
  if (dims.length < 2 || (gemm && dims.length !== 2) || elementCount(dims) === 0) return null;
  return { weight, bias, m, rank: dims.length };
}

/** The affine nodes behind `layer`, each the only reader of the one before it, and what they do together. */
function chainBehind(
  layer: NodeProto,
  { m, rank }: { m: number; rank: number },
  index: GraphIndex,
  model: Model,
): { nodes: NodeProto[]; affine: Affine } {
  const nodes: NodeProto[] = [];
  const affine: Affine = { scale: new Float32Array(m).fill(1), shift: new Float32Array(m) };
  let at = layer.output[0] ?? '';
  for (;;) {
    const node = index.soleConsumer(at);
    const next =
      node === null
        ? null
        : (normalization(node, index, model) ?? arithmetic(node, { from: at, m, rank }, index, model));
    if (node === null || next?.scale.length !== m) return { nodes, affine };
    for (let i = 0; i < m; i++) {
      const s = next.scale[i];
      affine.scale[i] = affine.scale[i] * s;
      affine.shift[i] = affine.shift[i] * s + next.shift[i];
    }
    nodes.push(node);
    at = node.output[0] ?? '';
  }
}

/** Of a BatchNormalization in inference; null for any other node. */
function normalization(node: NodeProto, index: GraphIndex, model: Model): Affine | null {
  if (!isOperator(node, 'BatchNormalization') || intAttribute(node, 'training_mode', 0) !== 0) return null;
  if (model.opset < 9 && hasAttribute(node, 'spatial') && intAttribute(node, 'spatial', 1) === 0) return null;
  if (node.output.slice(1).some((name) => index.consumers(name).length > 0 || index.isOutput(name))) return null;
  const tensors = [1, 2, 3, 4].map((i) => index.initializer(node.input[i]));
  const values = tensors.map((t) => (t?.dataType === DataType.FLOAT ? tensorFloats(t, model.directory) : null));
  const [gamma, beta, mean, variance] = values;
  if (gamma == null || beta == null || mean == null || variance == null) return null;
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  const scale = gamma.map((g, i) => g / Math.sqrt(variance[i] + epsilon));
  const shift = beta.map((b, i) => b - mean[i] * scale[i]);
  return finite({ scale, shift });
}

/** Of an Add, Sub, Mul or Div with a constant that is the same at every place. */
function arithmetic(
  node: NodeProto,
  { from, m, rank }: { from: string; m: number; rank: number },
  index: GraphIndex,
  model: Model,
): Affine | null {
  if (node.input.length !== 2 || !isOperator(node, 'Add', 'Sub', 'Mul', 'Div')) return null;
  const first = node.input[0] === from;
  const tensor = index.initializer(node.input[first ? 1 : 0]);
  if (tensor?.dataType !== DataType.FLOAT || !isPerChannel(tensorDims(tensor), m, rank)) return null;
  const values = tensorFloats(tensor, model.directory);
  const constant = values.length === m ? values : new Float32Array(m).fill(values[0]);
  const ones = () => new Float32Array(m).fill(1);
  switch (operatorOf(node)) {
    case 'Add':
      return { scale: ones(), shift: constant };
    case 'Sub':
      return first ? { scale: ones(), shift: constant.map((c) => -c) } : { scale: ones().fill(-1), shift: constant };
    case 'Mul':
      return { scale: constant, shift: new Float32Array(m) };
    default:
      return first ? finite({ scale: constant.map((c) => 1 / c), shift: new Float32Array(m) }) : null;
  }
}

const finite = (affine: Affine): Affine | null =>
  affine.scale.every(Number.isFinite) && affine.shift.every(Number.isFinite) ? affine : null;

/** Whether a constant of these dimensions is broadcast along everything but the channels (axis 1) of [n, m, ...]. */
function isPerChannel(dims: readonly number[], m: number, rank: number): boolean {
  if (dims.length > rank) return false;
  return dims.every((d, i) => d === 1 || (d === m && i === dims.length - rank + 1));
}

function replace(
  graph: GraphProto,
  layer: NodeProto,
  {
    parts: { weight, bias, m },
    affine: { scale, shift },
    scales,
    output,
    names,
    model,
    known,
  }: {
    parts: Parts;
    affine: Affine;
    scales: boolean;
    output: string;
    names: NameSource;
    model: Model;
    /** What was made for others of these weights: the same numbers are one tensor. */
    known: TensorProto[];
  },
): void {
  const dense = denseWeightsOf(layer, weight, bias, model.directory);
  const d = dense.weights.length / m;
  const tensorOf = (name: string, tensorShape: number[], data: Float32Array): string => {
    const same = known.find(
      (tensor) =>
        String(tensorDims(tensor)) === String(tensorShape) && sameNumbers(tensorFloats(tensor, model.directory), data),
    );
    if (same !== undefined) return same.name;
    const added = floatTensor(names.fresh(name), tensorShape, data);
    graph.initializer.push(added);
    known.push(added);
    return added.name;
  };
  const shifted = shift.map((s, i) => s + scale[i] * dense.bias[i]);
  const biasName = tensorOf(`${output}_bias`, [m], shifted);
  layer.output = [output];
  let weightName = layer.input[1] ?? '';
  if (scales) {
    const weights = dense.weights.map((w, i) => w * scale[Math.floor(i / d)]);
    const dims = tensorDims(weight);
    const [channels = 0, , ...kernel] = dims;
    const own = isOperator(layer, 'ConvTranspose') ? outputsFirst(weights, [m, channels, ...kernel]) : weights;
    weightName = tensorOf(`${output}_weight`, isOperator(layer, 'Gemm') ? [m, d] : dims, own);
  }
  layer.input = [layer.input[0] ?? '', weightName, biasName];
  if (!isOperator(layer, 'Gemm')) return;
  // The bias is scaled already; scaled weights are turned and scaled, others as they were.
  const dropped = scales ? ['transB', 'alpha', 'beta'] : ['beta'];
  const kept = layer.attribute.filter(({ name }) => !dropped.includes(name));
  layer.attribute = scales ? [...kept, makeInt('transB', 1)] : kept;
}
