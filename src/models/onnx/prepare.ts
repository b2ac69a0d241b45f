import { floatAttribute, hasAttribute, intAttribute, intsAttribute, makeInt } from './attributes.js';
import { denseWeightsOf, isRowBias } from './dense-weights.js';
import { GraphIndex, NameSource, capturedBy } from './graph-index.js';
import { DataType, int64ToNumber, withFields, type GraphProto, type NodeProto, type TensorProto } from './messages.js';
import { realInputs, type OnnxModel } from './model.js';
import { floatTensor, int64Tensor, scalarValue, tensorDims, tensorFloats } from './tensors.js';

/**
 * A copy of the model made ready for inference: constants become initializers, pass-through nodes go away, and
 * normalisations are folded into the layers before them. Computes the same function; `model` stays as it is.
 */
export function prepare(model: OnnxModel): OnnxModel {
  const graph = withFields(model.graph, {
    node: model.graph.node.map((node) => withFields(node, { input: [...node.input], output: [...node.output] })),
    initializer: [...model.graph.initializer],
    // An initializer that is listed as an input too could be overridden by the caller; a trained weight is not.
    input: realInputs(model.graph),
    output: [...model.graph.output],
    valueInfo: [...model.graph.valueInfo],
  });
  liftConstants(graph);
  dropPassThrough(graph, model);
  foldTransposes(graph, model.directory);
  foldNormalizations(graph, model);
  tidy(graph);
  // Initializers that are not inputs are allowed from IR version 4 on.
  const irVersion = Math.max(4, int64ToNumber(model.proto.irVersion));
  return { ...model, graph, proto: withFields(model.proto, { graph, irVersion }) };
}

/** Drops initializers and shapes of tensors that nothing uses any more. */
export function tidy(graph: GraphProto): void {
  const index = new GraphIndex(graph);
  const known = new Set(graph.node.flatMap((node) => node.output));
  graph.initializer = graph.initializer.filter(({ name }) => index.consumers(name).length > 0 || index.isOutput(name));
  graph.valueInfo = graph.valueInfo.filter(({ name }) => known.has(name));
}

function liftConstants(graph: GraphProto): void {
  const outputs = new Set(graph.output.map(({ name }) => name));
  graph.node = graph.node.filter((node) => {
    const name = node.output[0];
    if (node.opType !== 'Constant' || name === undefined || outputs.has(name)) return true;
    const tensor = constantTensor(node, name);
    if (tensor === null) return true;
    graph.initializer.push(tensor);
    return false;
  });
}

function constantTensor(node: NodeProto, name: string): TensorProto | null {
  const [attribute] = node.attribute;
  if (attribute === undefined || node.attribute.length !== 1) return null;
  if (attribute.name === 'value' && attribute.t != null) return withFields(attribute.t, { name });
  if (attribute.name === 'value_float') return floatTensor(name, [], Float32Array.of(attribute.f ?? 0));
  if (attribute.name === 'value_floats') {
    const floats = Float32Array.from(attribute.floats ?? []);
    return floatTensor(name, [floats.length], floats);
  }
  const ints = (attribute.name === 'value_int' ? [attribute.i ?? 0] : (attribute.ints ?? [])).map(int64ToNumber);
  if (!attribute.name.startsWith('value_int') || ints.some((v) => Number.isNaN(v))) return null;
  return int64Tensor(name, attribute.name === 'value_int' ? [] : [ints.length], ints);
}

/** Identity, and Dropout in inference. */
function dropPassThrough(graph: GraphProto, model: OnnxModel): void {
  const index = new GraphIndex(graph);
  const captured = new Set(graph.node.flatMap((node) => [...capturedBy(node)]));
  const replaced = new Map<string, string>();
  const dropped = new Set<NodeProto>();
  for (const node of graph.node) {
    const [from, to] = [node.input[0], node.output[0]];
    if (from === undefined || to === undefined || !isPassThrough(node, index, model) || captured.has(to)) continue;
    // In order of the graph, so `from` itself is replaced already.
    replaced.set(to, replaced.get(from) ?? from);
    if (!index.isOutput(to)) dropped.add(node);
  }
  graph.node = graph.node.filter((node) => !dropped.has(node));
  for (const node of graph.node) node.input = node.input.map((name) => replaced.get(name) ?? name);
}

function isPassThrough(node: NodeProto, index: GraphIndex, model: OnnxModel): boolean {
  if (node.opType === 'Identity') return true;
  if (node.opType !== 'Dropout') return false;
  const mask = node.output[1];
  if (mask !== undefined && mask !== '' && (index.consumers(mask).length > 0 || index.isOutput(mask))) return false;
  const training = node.input[2];
  if (training === undefined || training === '') return true;
  const flag = index.initializer(training);
  return flag !== null && scalarValue(flag, model.directory) === 0;
}

/** Weights stored the other way round and turned by a Transpose node. */
function foldTransposes(graph: GraphProto, directory: string | null): void {
  const index = new GraphIndex(graph);
  const captured = new Set(graph.node.flatMap((node) => [...capturedBy(node)]));
  graph.node = graph.node.filter((node) => {
    const [output] = node.output;
    const tensor = index.initializer(node.input[0]);
    if (node.opType !== 'Transpose' || output === undefined || tensor === null) return true;
    if (tensor.dataType !== DataType.FLOAT || index.isOutput(output) || captured.has(output)) return true;
    const dims = tensorDims(tensor);
    const perm = intsAttribute(node, 'perm') ?? dims.map((_, i) => dims.length - 1 - i);
    graph.initializer.push(permuted(output, tensorFloats(tensor, directory), dims, perm));
    return false;
  });
}

function permuted(name: string, source: Float32Array, dims: number[], perm: number[]): TensorProto {
  const strides = dims.map((_, i) => dims.slice(i + 1).reduce((a, b) => a * b, 1));
  const shape = perm.map((axis) => dims[axis] ?? 1);
  const steps = perm.map((axis) => strides[axis] ?? 0);
  const result = new Float32Array(source.length);
  const at = new Array<number>(shape.length).fill(0);
  for (let to = 0, from = 0; to < result.length; to++) {
    result[to] = source[from] ?? 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const step = steps[axis] ?? 0;
      const next = (at[axis] ?? 0) + 1;
      if (next < (shape[axis] ?? 1)) {
        at[axis] = next;
        from += step;
        break;
      }
      at[axis] = 0;
      from -= step * (next - 1);
    }
  }
  return floatTensor(name, shape, result);
}

/** y = scale * x + shift per channel, of a BatchNormalization in inference; null for any other node. */
function normalization(
  node: NodeProto,
  index: GraphIndex,
  model: OnnxModel,
): { scale: Float32Array; shift: Float32Array } | null {
  if (node.opType !== 'BatchNormalization' || intAttribute(node, 'training_mode', 0) !== 0) return null;
  if (model.opset < 9 && hasAttribute(node, 'spatial') && intAttribute(node, 'spatial', 1) === 0) return null;
  if (node.output.slice(1).some((name) => index.consumers(name).length > 0 || index.isOutput(name))) return null;
  const tensors = [1, 2, 3, 4].map((i) => index.initializer(node.input[i]));
  const values = tensors.map((t) => (t?.dataType === DataType.FLOAT ? tensorFloats(t, model.directory) : null));
  const [gamma, beta, mean, variance] = values;
  if (gamma == null || beta == null || mean == null || variance == null) return null;
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  const scale = gamma.map((g, i) => g / Math.sqrt((variance[i] ?? 0) + epsilon));
  const shift = beta.map((b, i) => b - (mean[i] ?? 0) * (scale[i] ?? 0));
  if (!scale.every(Number.isFinite) || !shift.every(Number.isFinite)) return null;
  return { scale, shift };
}

function foldNormalizations(graph: GraphProto, model: OnnxModel): void {
  const index = new GraphIndex(graph);
  const names = new NameSource(graph);
  const folded = new Set<NodeProto>();
  for (const node of graph.node) {
    const affine = normalization(node, index, model);
    const layer = index.producer(node.input[0]);
    const output = node.output[0];
    if (affine === null || layer === null || output === undefined || folded.has(layer)) continue;
    if (index.soleConsumer(node.input[0] ?? '') !== node) continue;
    const parts = foldInto(layer, affine, index, model);
    if (parts === null) continue;
    const weight = names.fresh(`${output}_weight`);
    const bias = names.fresh(`${output}_bias`);
    graph.initializer.push(
      floatTensor(weight, parts.dims, parts.weights),
      floatTensor(bias, [parts.bias.length], parts.bias),
    );
    layer.input = [layer.input[0] ?? '', weight, bias];
    layer.output = [output];
    if (layer.opType === 'Gemm') {
      const kept = layer.attribute.filter(({ name }) => name !== 'transB' && name !== 'alpha' && name !== 'beta');
      layer.attribute = [...kept, makeInt('transB', 1)];
    }
    folded.add(node);
  }
  graph.node = graph.node.filter((node) => !folded.has(node));
}

function foldInto(
  layer: NodeProto,
  { scale, shift }: { scale: Float32Array; shift: Float32Array },
  index: GraphIndex,
  model: OnnxModel,
): { dims: number[]; weights: Float32Array; bias: Float32Array } | null {
  if (layer.opType !== 'Conv' && layer.opType !== 'Gemm') return null;
  const weight = index.initializer(layer.input[1]);
  const biasName = layer.input[2] ?? '';
  const bias = biasName === '' ? null : index.initializer(biasName);
  if (weight?.dataType !== DataType.FLOAT || (biasName !== '' && bias?.dataType !== DataType.FLOAT)) return null;
  const m = scale.length;
  if (bias !== null && !isRowBias(tensorDims(bias), m)) return null;
  const dense = denseWeightsOf(layer, weight, bias, model.directory);
  if (dense.bias.length !== m || dense.weights.length % m !== 0) return null;
  const d = dense.weights.length / m;
  const weights = dense.weights.map((w, i) => w * (scale[Math.floor(i / d)] ?? 0));
  const dims = layer.opType === 'Conv' ? tensorDims(weight) : [m, d];
  return { dims, weights, bias: shift.map((s, i) => s + (scale[i] ?? 0) * (dense.bias[i] ?? 0)) };
}
