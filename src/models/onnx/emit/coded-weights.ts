import { FLOAT16_MAX, floatToHalf } from '../../coding/float16.js';
import { toInt8 } from '../../coding/int8.js';
import { kMeans } from '../../coding/kmeans.js';
import { importances, rowOf, type Layout } from '../../coding/layout.js';
import { intAttribute, makeInt, makeNode } from '../protobuf/attributes.js';
import { NameSource } from '../graph/graph-index.js';
import { DataType, withFields, type NodeProto, type TensorProto } from '../protobuf/messages.js';
import type { OnnxModel } from '../protobuf/model.js';
import { isOperator } from '../protobuf/operator.js';
import { elementCount, floatTensor, int64Tensor, tensorDims, tensorFloats } from '../protobuf/tensors.js';
import { weightedNodes, type WeightedNode } from '../graph/weighted-nodes.js';

/** How weights are kept in the file; the network computes with float32 in any case. */
export interface WeightCoding {
  coding: 'float32' | 'float16' | 'int8' | 'codebook';
  /** Bits of a weight in a codebook: 8, a table of 256 numbers; 4, a table of 256 pairs for two neighbours each. */
  bits: 4 | 8;
}

export interface CodingOptions {
  /** Mean squares of the inputs of layers, by the tensor that a layer reads: one per channel. A layer without is coded by its weights alone. */
  energies: ReadonlyMap<string, Float32Array>;
  /** A generator for every tensor, in order. */
  random: (tensor: number) => () => number;
}

/** Fewer weights than this stay float32: the nodes that decode them take about as many bytes as they save. */
const FEWEST_WEIGHTS = 256;
/** Table entries are float32: with fewer weights to share them, 8-bit integers lose less and take hardly more. */
const CENTROIDS = 256;
const FEWEST_PER_CENTROID = 8;

/**
 * The same model with the weights of its layers coded; biases and everything else stay. The operators that decode them (Cast, Gather,
 * Reshape, Mul) depend on constants only, so that a runtime does their work once, when it loads the model. That is why an integer is
 * not decoded by DequantizeLinear: ONNX Runtime keeps that one in the graph, for its integer kernels, and runs it every time.
 */
export function codeWeights(model: OnnxModel, { coding, bits }: WeightCoding, options: CodingOptions): OnnxModel {
  if (coding === 'float32') return model;
  const names = new NameSource(model.graph);
  const decoding: NodeProto[] = [];
  const coded = new Map<string, TensorProto[]>();
  for (const layer of weightedNodes(model)) {
    const { weight } = layer;
    const layout = layoutOf(layer);
    if (weight === null || layout === null || coded.has(weight.name)) continue;
    const dims = tensorDims(weight);
    const count = elementCount(dims);
    if (count < FEWEST_WEIGHTS) continue;
    const coder = new Coder(weight.name, dims, tensorFloats(weight, model.directory), layout, names);
    const random = options.random(coded.size);
    const importance = () => importances(layout, count, options.energies.get(layer.input) ?? null);
    const width = bits === 4 && count % 2 === 0 ? 2 : 1;
    const shared = count / width >= CENTROIDS * FEWEST_PER_CENTROID;
    const parts =
      coding === 'float16'
        ? coder.float16()
        : coding === 'int8' || !shared
          ? coder.int8(importance())
          : coder.codebook(importance(), width, random);
    if (parts === null) continue;
    decoding.push(...parts.nodes);
    coded.set(weight.name, parts.tensors);
  }
  const graph = withFields(model.graph, {
    node: [...decoding, ...model.graph.node],
    initializer: model.graph.initializer.flatMap((tensor) => coded.get(tensor.name) ?? [tensor]),
  });
  return { ...model, graph, proto: withFields(model.proto, { graph }) };
}

/** Null for weights that are not coded. */
export function layoutOf({ node, op, weight, group }: WeightedNode): (Layout & { rowAxis: number }) | null {
  if (weight?.dataType !== DataType.FLOAT || node.input[1] !== weight.name) return null;
  const dims = tensorDims(weight);
  const [first = 1, second = 1, ...kernel] = dims;
  const taps = elementCount(kernel);
  if (isOperator(node, 'Conv'))
    return {
      ...{ rows: first, rowStride: second * taps, rowAxis: 0 },
      ...{ inputs: second, inputStride: taps, groups: group },
    };
  if (isOperator(node, 'ConvTranspose'))
    return {
      ...{ rows: second, rowStride: taps, rowAxis: 1 },
      ...{ inputs: first, inputStride: second * taps, groups: 1 },
    };
  if (dims.length !== 2) return null;
  return op === 'Gemm' && intAttribute(node, 'transB', 0) !== 0
    ? { rows: first, rowStride: second, rowAxis: 0, inputs: second, inputStride: 1, groups: 1 }
    : { rows: second, rowStride: 1, rowAxis: 1, inputs: first, inputStride: second, groups: 1 };
}

interface Coded {
  tensors: TensorProto[];
  nodes: NodeProto[];
}

/** Codes one tensor; the result of its last node has the tensor's name. */
class Coder {
  constructor(
    private readonly weight: string,
    private readonly dims: number[],
    private readonly values: Float32Array,
    private readonly layout: Layout & { rowAxis: number },
    private readonly names: NameSource,
  ) {}

  /** Null where a weight is too large for the type. */
  float16(): Coded | null {
    if (this.values.some((v) => Math.abs(v) > FLOAT16_MAX)) return null;
    const name = this.fresh('float16');
    const rawData = bytesOf(Uint16Array.from(this.values, floatToHalf));
    return {
      tensors: [{ name, dims: this.dims, dataType: DataType.FLOAT16, rawData }],
      nodes: [this.cast(name, this.weight, DataType.FLOAT)],
    };
  }

  int8(importance: Float32Array): Coded {
    const { values, scales } = toInt8(this.values, importance, this.layout);
    const [name, number, scale] = [this.fresh('int8'), this.fresh('number'), this.fresh('scale')];
    return {
      tensors: [
        { name, dims: this.dims, dataType: DataType.INT8, rawData: bytesOf(values) },
        floatTensor(scale, this.scaleDims(), scales),
      ],
      nodes: [
        this.cast(name, number, DataType.FLOAT),
        makeNode('Mul', this.fresh('scaled'), [number, scale], [this.weight]),
      ],
    };
  }

  /** Rows are brought to one size first, so that all of them share the table. */
  codebook(importance: Float32Array, width: number, random: () => number): Coded {
    const { layout, values } = this;
    const scales = rootMeanSquares(values, layout);
    const scaleAt = (i: number) => scales[rowOf(layout, i)] ?? 1;
    const normal = values.map((v, i) => v / scaleAt(i));
    const weights = importance.map((v, i) => v * scaleAt(i) ** 2);
    const { centroids, indices } = kMeans(normal, even(weights), { k: CENTROIDS, width, random });
    fitScales(scales, values, importance, layout, (i) => {
      const vector = indices[Math.floor(i / width)] ?? 0;
      return centroids[vector * width + (i % width)] ?? 0;
    });
    const [name, index, table] = [this.fresh('indices'), this.fresh('index'), this.fresh('codebook')];
    const [vectors, shape, number, scale] = ['vectors', 'shape', 'number', 'scale'].map((part) => this.fresh(part));
    const [v = '', s = '', n = '', c = ''] = [vectors, shape, number, scale];
    return {
      tensors: [
        { name, dims: [indices.length], dataType: DataType.UINT8, rawData: bytesOf(indices) },
        floatTensor(table, [centroids.length / width, width], centroids),
        int64Tensor(s, [this.dims.length], this.dims),
        floatTensor(c, this.scaleDims(), scales),
      ],
      nodes: [
        this.cast(name, index, DataType.INT32),
        makeNode('Gather', this.fresh('gather'), [table, index], [v], [makeInt('axis', 0)]),
        makeNode('Reshape', this.fresh('reshape'), [v, s], [n]),
        makeNode('Mul', this.fresh('scaled'), [n, c], [this.weight]),
      ],
    };
  }

  private cast(from: string, to: string, type: number): NodeProto {
    return makeNode('Cast', this.fresh('cast'), [from], [to], [makeInt('to', type)]);
  }

  private scaleDims(): number[] {
    return this.dims.map((size, axis) => (axis === this.layout.rowAxis ? size : 1));
  }

  private fresh(part: string): string {
    return this.names.fresh(`${this.weight}_${part}`);
  }
}

const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Weights around 1, so that sums of them stay in the middle of the range of numbers. */
function even(weights: Float32Array): Float32Array {
  const mean = weights.reduce((a, b) => a + b, 0) / weights.length;
  return mean > 0 && Number.isFinite(mean) ? weights.map((w) => Math.max(w / mean, 1e-12)) : weights.fill(1);
}

/** Of the rows; 1 for a row of zeros. */
function rootMeanSquares(values: Float32Array, layout: Layout): Float32Array {
  const sums = new Float64Array(layout.rows);
  for (const [i, value] of values.entries()) {
    const row = rowOf(layout, i);
    sums[row] = (sums[row] ?? 0) + value * value;
  }
  return Float32Array.from(sums, (sum) => Math.sqrt((sum * layout.rows) / values.length) || 1);
}

/** The scale of every row that leaves the least sum of importance * (w - scale * coded)^2. */
function fitScales(
  scales: Float32Array,
  values: Float32Array,
  importance: Float32Array,
  layout: Layout,
  coded: (i: number) => number,
): void {
  const products = new Float64Array(layout.rows);
  const squares = new Float64Array(layout.rows);
  for (let i = 0; i < values.length; i++) {
    const row = rowOf(layout, i);
    const number = coded(i);
    const weighted = (importance[i] ?? 0) * number;
    products[row] = (products[row] ?? 0) + weighted * (values[i] ?? 0);
    squares[row] = (squares[row] ?? 0) + weighted * number;
  }
  for (let row = 0; row < layout.rows; row++)
    if ((squares[row] ?? 0) > 0) scales[row] = (products[row] ?? 0) / (squares[row] ?? 1);
}

/** The tensors that coded layers read, with the axis of their channels: 1, or the last. */
export function inputsOfLayers(model: OnnxModel): Map<string, 1 | -1> {
  const layers = weightedNodes(model).filter(
    (layer) => layoutOf(layer) !== null && !isOperator(layer.node, 'ConvTranspose'),
  );
  return new Map(layers.map(({ input, op }) => [input, op === 'MatMul' ? -1 : 1]));
}
