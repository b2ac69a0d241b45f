import { affineOf, toInt32, type Affine, type Range } from '../coding/affine.js';
import { toInt8, type Int8Weights } from '../coding/int8.js';
import { importances, meanResponses, type Layout } from '../coding/layout.js';
import { intAttribute, makeInt, makeNode } from '../ir/attributes.js';
import { energyOf, layoutOf } from '../emit/coded-weights.js';
import { denseWeightsOf } from '../graph/dense-weights.js';
import { GraphIndex, NameSource } from '../graph/graph-index.js';
import { DataType, withFields, type NodeProto, type TensorProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { tidy } from '../passes/prepare.js';
import { floatTensor, tensorDims, tensorFloats } from '../ir/tensors.js';
import { weightedNodes, type WeightedNode } from '../graph/weighted-nodes.js';
import { planIntegers, type IntegerPlan } from './plan.js';

export interface IntegerOptions {
  /** Of the tensors that `integerTensors` names; a layer that reads or makes a tensor without one stays float. */
  ranges: ReadonlyMap<string, Range>;
  /** Mean squares of the inputs of layers, by tensor: one per channel. */
  energies: ReadonlyMap<string, Float32Array>;
  /** Means of the same: biases make up for what rounding of weights changes in the mean. Default: they do not. */
  means?: ReadonlyMap<string, Float32Array>;
  /** Layers that stay float. */
  leftFloat?: ReadonlySet<string>;
  /** Keeps the integers of weights for further calls on the same network. */
  coded?: Map<string, Int8Weights>;
}

/** Half of what an accumulator holds; the other half is for the products. */
const LARGEST_BIAS = 2 ** 30;

/** Tensors of a network whose ranges decide its integers. */
export function integerTensors(model: Model): string[] {
  return [...new Set(planIntegers(model).tensors.values())];
}

/** Layers that can be computed with integers, in order. */
export function integerLayers(model: Model): string[] {
  return planIntegers(model).layers.map(({ name }) => name);
}

/**
 * The same network computing with 8-bit integers: QuantizeLinear and DequantizeLinear around its layers, which a
 * runtime replaces with integer kernels, and any other computes as they stand. Activations are uint8 with a scale and a
 * zero point for each tensor, weights int8 with a scale for each output, biases int32 in steps of input scale x weight
 * scale.
 */
export function toIntegers(model: Model, options: IntegerOptions): Model {
  const { plan, ranges } = planWithRanges(model, options);
  if (plan.layers.length === 0) return model;
  const index = new GraphIndex(model.graph);
  const writer = new IntegerWriter(model, plan.tensors, { ...options, ranges });
  /** What integer nodes read instead of a tensor that is made in float. */
  const aliases = new Map<string, string>();
  /** Pairs right behind the node that makes the tensor; '' stands for the inputs of the network. */
  const pairs = new Map<NodeProto | null, NodeProto[]>();
  const renamed = new Map<string, string>();
  for (const name of plan.tensors.keys()) {
    const [from, to] = plan.made.has(name)
      ? [writer.fresh(`${name}_float`), name]
      : [name, writer.fresh(`${name}_dequantized`)];
    if (plan.made.has(name)) renamed.set(name, from);
    else aliases.set(name, to);
    const producer = index.producer(name);
    pairs.set(producer, [...(pairs.get(producer) ?? []), ...writer.pair(name, from, to)]);
  }
  const layers = new Map(plan.layers.map((layer) => [layer.node, layer]));
  const between = new Map([...plan.between].map(([layer, from]) => [layer.node, { layer, from }]));
  const node = [...(pairs.get(null) ?? [])];
  for (const old of model.graph.node) {
    const layer = layers.get(old);
    const read = (name: string) => (plan.nodes.has(old) ? (aliases.get(name) ?? name) : name);
    const left = between.get(old);
    const now = layer !== undefined ? writer.layer(layer) : left !== undefined ? writer.keptFloat(left) : [old];
    node.push(
      ...now.map((n) =>
        withFields(n, { input: n.input.map(read), output: n.output.map((name) => renamed.get(name) ?? name) }),
      ),
      ...(pairs.get(old) ?? []),
    );
  }
  const graph = withFields(model.graph, { node, initializer: [...model.graph.initializer, ...writer.tensors] });
  tidy(graph);
  return { ...model, graph, proto: withFields(model.proto, { graph }) };
}

/**
 * What is computed with integers, and the range of every tensor of it. Where layers stay float, values that only moved
 * from one of them may begin to be integers behind the move: theirs is the range of the tensor that they come from.
 */
function planWithRanges(
  model: Model,
  { ranges, leftFloat }: IntegerOptions,
): { plan: IntegerPlan; ranges: Map<string, Range> } {
  const sources = planIntegers(model).tensors;
  const rangeOf = (name: string) => ranges.get(name) ?? ranges.get(sources.get(name) ?? name);
  const unknown = new Set([...sources.keys()].filter((name) => !isUsable(rangeOf(name))));
  for (;;) {
    const plan = planIntegers(model, { layers: leftFloat ?? new Set(), tensors: unknown });
    const found = new Map<string, Range>();
    const missing: string[] = [];
    for (const root of new Set(plan.tensors.values())) {
      const range = rangeOf(root);
      if (range !== undefined && isUsable(range)) found.set(root, range);
      else missing.push(root);
    }
    if (missing.length === 0) return { plan, ranges: found };
    for (const name of missing) unknown.add(name);
  }
}

const isUsable = (range: Range | undefined): boolean =>
  range !== undefined && Number.isFinite(range.high - range.low) && Math.fround(range.high - range.low) < Infinity;

/** What the integers of a layer are made of. */
interface PlainWeights {
  weight: TensorProto;
  values: Float32Array;
  dims: number[];
  layout: Layout & { rowAxis: number };
  /** A number for every row. */
  bias: Float32Array | null;
}

/** A bias far larger than the weights of its row has to fit an accumulator in their steps. */
const leastScales = ({ layout, bias }: PlainWeights, scale: number): Float32Array =>
  Float32Array.from({ length: layout.rows }, (_, row) =>
    Math.max(leastScale(scale), Math.abs(bias?.[row] ?? 0) / (scale * LARGEST_BIAS)),
  );

/** Makes the nodes and tensors of integer layers. */
class IntegerWriter {
  readonly tensors: TensorProto[] = [];
  private readonly names: NameSource;
  private readonly layers: readonly WeightedNode[];
  /** By how much the means of a tensor's channels lie below those without integers. */
  private readonly drifts = new Map<string, Float64Array>();
  private readonly parameters = new Map<string, string[]>();
  /** The integers of tensors. */
  private readonly integers = new Map<string, string>();
  private readonly zeroPoints = new Map<number, string>();
  private readonly weights = new Map<string, { scales: Float32Array; name: string; scale: string }[]>();

  constructor(
    private readonly model: Model,
    private readonly roots: ReadonlyMap<string, string>,
    private readonly options: IntegerOptions,
  ) {
    this.names = new NameSource(model.graph);
    this.layers = weightedNodes(model);
  }

  fresh(name: string): string {
    return this.names.fresh(name);
  }

  /** `to` is `from` by way of its integers. */
  pair(tensor: string, from: string, to: string): NodeProto[] {
    const parameters = this.scaleAndZero(tensor);
    const integers = this.fresh(`${tensor}_quantized`);
    this.integers.set(tensor, integers);
    return [
      makeNode('QuantizeLinear', this.fresh(`${tensor}/quantize`), [from, ...parameters], [integers]),
      makeNode('DequantizeLinear', this.fresh(`${tensor}/dequantize`), [integers, ...parameters], [to]),
    ];
  }

  /**
   * A layer that stays float although its input is the integers of `from`, moved. ONNX Runtime rounds the weights of a
   * layer that stands between a DequantizeLinear with one scale (which it moves on over nodes that only move values) and
   * a QuantizeLinear by itself, all in one step (seen in 1.30). So every channel has a scale here, of the same value.
   */
  keptFloat({ layer, from }: { layer: WeightedNode; from: string }): NodeProto[] {
    const { node, name, op, input, channels, group } = layer;
    const count = channels * group;
    if (op === 'MatMul' || count < 2 || intAttribute(node, 'transA', 0) !== 0) return [node];
    const { scale, zeroPoint } = this.affine(from);
    const decoded = this.fresh(`${input}_by_channel`);
    const [scales, zeros] = [this.fresh(`${decoded}_scales`), this.fresh(`${decoded}_zero_points`)];
    this.tensors.push(floatTensor(scales, [count], new Float32Array(count).fill(scale)), {
      name: zeros,
      dims: [count],
      dataType: DataType.UINT8,
      rawData: new Uint8Array(count).fill(zeroPoint),
    });
    const known = this.integers.get(input);
    const integers = known ?? this.fresh(`${input}_quantized`);
    const quantize = this.fresh(`${name}/quantize_input`);
    return [
      ...(known === undefined
        ? [makeNode('QuantizeLinear', quantize, [input, ...this.scaleAndZero(from)], [integers])]
        : []),
      makeNode(
        'DequantizeLinear',
        this.fresh(`${name}/dequantize_input`),
        [integers, scales, zeros],
        [decoded],
        [makeInt('axis', 1)],
      ),
      withFields(node, { input: [decoded, ...node.input.slice(1)] }),
    ];
  }

  /** The layer on integers: its weights and its bias are decoded where they are read. */
  layer(layer: WeightedNode): NodeProto[] {
    const { node, op, input } = layer;
    const plain = this.plainWeights(layer);
    const { scale } = this.affine(input);
    const coded = this.code(layer, plain.values, plain.layout, leastScales(plain, scale));
    const weight = this.weight(layer, plain, coded);
    const corrected = this.correctedBias(layer, plain, coded);
    const bias =
      corrected === null
        ? null
        : this.bias(
            layer,
            corrected,
            coded.scales.map((s) => s * scale),
          );
    const inputs = [input, ...[weight, bias].flatMap((one) => one?.output ?? [])];
    const attribute = op === 'Gemm' ? [makeInt('transB', 1)] : node.attribute;
    return [weight, ...(bias === null ? [] : [bias]), withFields(node, { input: inputs, attribute })];
  }

  /**
   * With what keeps the mean of every output as it was before weights were rounded (bias correction, Nagel et al. 2019,
   * arXiv 1906.04721, section 4.2). A layer without a bias leaves that to the one that reads it.
   */
  private correctedBias(layer: WeightedNode, { values, layout, bias }: PlainWeights, coded: Int8Weights) {
    const means = this.options.means?.get(layer.input);
    if (means === undefined) return bias;
    const before = this.drifts.get(layer.input);
    const now = before === undefined ? means : means.map((mean, i) => mean - before[i]);
    const wanted = meanResponses(layout, values, means);
    const missing = meanResponses(layout, coded.values, now, coded.scales).map((given, row) => wanted[row] - given);
    if (bias !== null) return bias.map((value, row) => value + missing[row]);
    this.drifts.set(layer.output, missing);
    return null;
  }

  /** Of a Gemm its factors belong to the weights, and these are rows. */
  private plainWeights(layer: WeightedNode): PlainWeights {
    const { node, op, weight, m, channels } = layer;
    const bias = (node.input[2] ?? '') === '' ? null : layer.bias;
    if (weight === null) throw new RangeError(`${layer.name} has no weights`);
    const { directory } = this.model;
    if (op === 'Gemm') {
      const dense = denseWeightsOf(node, weight, bias, directory);
      const rows = { rows: m, rowStride: channels, rowAxis: 0 };
      const layout = { ...rows, inputs: channels, inputStride: 1, groups: 1 };
      return { weight, values: dense.weights, dims: [m, channels], layout, bias: bias === null ? null : dense.bias };
    }
    const layout = layoutOf(layer);
    if (layout === null) throw new RangeError(`${layer.name} is no layer with plain weights`);
    return {
      ...{ weight, layout, values: tensorFloats(weight, directory), dims: tensorDims(weight) },
      bias: bias === null ? null : tensorFloats(bias, directory),
    };
  }

  private weight(layer: WeightedNode, { weight, dims, layout }: PlainWeights, coded: Int8Weights): NodeProto {
    const stored = this.stored(weight.name, dims, coded);
    const decoded = this.fresh(`${weight.name}_dequantized`);
    const name = this.fresh(`${layer.name}/dequantize_weight`);
    const inputs = [stored.name, stored.scale, this.zeros(layout.rows)];
    return makeNode('DequantizeLinear', name, inputs, [decoded], [makeInt('axis', layout.rowAxis)]);
  }

  /** In the steps of its row's accumulator. */
  private bias({ name: layer }: WeightedNode, bias: Float32Array, scales: Float32Array): NodeProto {
    const integers = this.fresh(`${layer}_bias_int32`);
    const steps = this.fresh(`${layer}_bias_scale`);
    const decoded = this.fresh(`${layer}_bias_dequantized`);
    const dims = [scales.length];
    this.tensors.push(
      { name: integers, dims, dataType: DataType.INT32, rawData: bytesOf(toInt32(bias, scales)) },
      floatTensor(steps, dims, scales),
    );
    const name = this.fresh(`${layer}/dequantize_bias`);
    return makeNode('DequantizeLinear', name, [integers, steps], [decoded], [makeInt('axis', 0)]);
  }

  private code(layer: WeightedNode, values: Float32Array, layout: Layout, least: Float32Array): Int8Weights {
    // Nodes that share weights share their integers.
    const key = layer.first ?? layer.name;
    const known = this.options.coded?.get(key);
    const fits = ({ scales }: Int8Weights) => scales.every((scale, row) => scale >= least[row]);
    if (known !== undefined && fits(known)) return known;
    const energy = energyOf(layer, this.layers, this.options.energies);
    const importance = importances(layout, values.length, energy);
    const neighbours = hasNeighbours(layout);
    const free = known ?? toInt8(values, importance, layout, { neighbours });
    this.options.coded?.set(key, free);
    return fits(free) ? free : toInt8(values, importance, layout, { least, neighbours });
  }

  /** Weights that several layers read are stored once, where their scales are the same. */
  private stored(weight: string, dims: number[], { values, scales }: { values: Int8Array; scales: Float32Array }) {
    const known = this.weights.get(weight) ?? [];
    const same = known.find((other) => other.scales.every((scale, i) => scale === scales[i]));
    if (same !== undefined) return same;
    const added = { scales, name: this.fresh(`${weight}_int8`), scale: this.fresh(`${weight}_scale`) };
    this.tensors.push(
      { name: added.name, dims, dataType: DataType.INT8, rawData: bytesOf(values) },
      floatTensor(added.scale, [scales.length], scales),
    );
    this.weights.set(weight, [...known, added]);
    return added;
  }

  /** Symmetric weights have none, but ONNX Runtime's Gemm with integers is only taken where they are written down. */
  private zeros(rows: number): string {
    const known = this.zeroPoints.get(rows);
    if (known !== undefined) return known;
    const name = this.fresh(`zero_points_${String(rows)}`);
    this.tensors.push({ name, dims: [rows], dataType: DataType.INT8, rawData: new Uint8Array(rows) });
    this.zeroPoints.set(rows, name);
    return name;
  }

  private affine(tensor: string): Affine {
    const range = this.options.ranges.get(this.roots.get(tensor) ?? tensor);
    if (range === undefined) throw new RangeError(`${tensor} has no range`);
    return affineOf(range);
  }

  private scaleAndZero(tensor: string): string[] {
    const root = this.roots.get(tensor) ?? tensor;
    const known = this.parameters.get(root);
    if (known !== undefined) return known;
    const { scale, zeroPoint } = this.affine(tensor);
    const names = [this.fresh(`${root}_scale`), this.fresh(`${root}_zero_point`)];
    const [scaleName = '', zeroName = ''] = names;
    this.tensors.push(floatTensor(scaleName, [], Float32Array.of(scale)), {
      name: zeroName,
      dims: [],
      dataType: DataType.UINT8,
      rawData: Uint8Array.of(zeroPoint),
    });
    this.parameters.set(root, names);
    return names;
  }
}

/** Kernels of depthwise convolutions go through a channel at a time and add up no pairs. */
const hasNeighbours = ({ groups, inputs, rows }: Layout): boolean => !(inputs === 1 && groups === rows && groups > 1);

/** Of a weight, so that its product with the scale of the input is a normal float32. */
const leastScale = (scale: number): number => Math.min(1, 2 ** -120 / scale);

const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
