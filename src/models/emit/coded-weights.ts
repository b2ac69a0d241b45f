import { importances, type Layout } from '../coding/layout.js';
import { PLAIN_CODING, type TensorCoding } from '../coding/weight-codings.js';
import { intAttribute } from '../ir/attributes.js';
import { NameSource } from '../graph/graph-index.js';
import { DataType, withFields } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { isOperator } from '../ir/operator.js';
import { elementCount, tensorDims, tensorFloats } from '../ir/tensors.js';
import { weightedNodes, type WeightedNode } from '../graph/weighted-nodes.js';
import { FEWEST_WEIGHTS, weightCodes, type WeightBits, type WeightCode } from '../coding/weight-code.js';
import { CodeWriter } from './coding/codebook.js';
import type { CodedTensor, TensorToCode } from './coding/coder.js';
import { TENSOR_CODERS } from './coding/index.js';

/** How weights are kept in the file; the network computes with float32 in any case. */
export interface WeightCoding {
  coding: typeof PLAIN_CODING | TensorCoding;
  /** Of a weight in a codebook. */
  bits: WeightBits;
  /** The same by layer, by the name of the tensor of its weights; default: `bits` for all. */
  bitsOf?: (weight: string) => WeightBits | undefined;
}

export interface CodingOptions {
  /**
   * Mean squares of the inputs of layers, by the tensor that a layer reads: one per channel. A layer without is coded
   * by its weights alone.
   */
  energies: ReadonlyMap<string, Float32Array>;
  /** A generator for every table, in order. */
  random: (table: number) => () => number;
}

/**
 * The same model with the weights of its layers coded; biases and everything else stay. The operators that decode them
 * (Cast, Gather, Reshape, Mul) depend on constants only, so that a runtime does their work once, when it loads the
 * model. That is why an integer is not decoded by DequantizeLinear: ONNX Runtime keeps that one in the graph, for its
 * integer kernels, and runs it every time.
 */
export function codeWeights(model: Model, coding: WeightCoding, options: CodingOptions): Model {
  if (coding.coding === PLAIN_CODING) return model;
  const coder = TENSOR_CODERS[coding.coding];
  if (coder === null) return withCodes(model, codesOfWeights(model, coding, options));
  const names = new NameSource(model.graph);
  const parts = tensorsToCode(model, options.energies).map((tensor): [string, CodedTensor | null] => [
    tensor.weight,
    coder({ ...tensor, names }),
  ]);
  return withParts(model, new Map(parts.flatMap(([name, part]) => (part === null ? [] : [[name, part]]))));
}

/** The weights of all layers in tables. */
export function codesOfWeights(
  model: Model,
  { bits, bitsOf }: Pick<WeightCoding, 'bits' | 'bitsOf'>,
  { energies, random }: CodingOptions,
): WeightCode[] {
  const tensors = tensorsToCode(model, energies).map(({ importance, ...tensor }) => ({
    ...{ ...tensor, importance: importance(), bits: bitsOf?.(tensor.weight) ?? bits },
  }));
  return weightCodes(tensors, random);
}

/** The same model with weights that are decoded from these codes. */
export function withCodes(model: Model, codes: readonly WeightCode[]): Model {
  const writer = new CodeWriter(new NameSource(model.graph));
  return withParts(model, new Map(codes.map((code) => [code.weight, writer.written(code)])));
}

/** @param parts by the name of the tensor that they stand for */
function withParts(model: Model, parts: ReadonlyMap<string, CodedTensor>): Model {
  const graph = withFields(model.graph, {
    node: [...[...parts.values()].flatMap(({ nodes }) => nodes), ...model.graph.node],
    initializer: model.graph.initializer.flatMap((tensor) => parts.get(tensor.name)?.tensors ?? [tensor]),
  });
  return { ...model, graph, proto: withFields(model.proto, { graph }) };
}

/** The weights that are worth it. */
function tensorsToCode(model: Model, energies: ReadonlyMap<string, Float32Array>): Omit<TensorToCode, 'names'>[] {
  const layers = weightedNodes(model);
  const found = new Map<string, Omit<TensorToCode, 'names'>>();
  for (const layer of layers) {
    const { weight } = layer;
    const layout = layoutOf(layer);
    if (weight === null || layout === null || found.has(weight.name)) continue;
    const dims = tensorDims(weight);
    const count = elementCount(dims);
    if (count < FEWEST_WEIGHTS) continue;
    found.set(weight.name, {
      ...{ weight: weight.name, dims, layout },
      values: tensorFloats(weight, model.directory),
      importance: () => importances(layout, count, energyOf(layer, layers, energies)),
    });
  }
  return [...found.values()];
}

/** Mean squares of what the weights of a layer are multiplied with, by channel: of all nodes that read them. */
export function energyOf(
  layer: WeightedNode,
  layers: readonly WeightedNode[],
  energies: ReadonlyMap<string, Float32Array>,
): Float32Array | null {
  const uses = layers.filter(({ weight }) => weight !== null && weight.name === layer.weight?.name);
  const known = uses.flatMap(({ input }) => energies.get(input) ?? []);
  const [first] = known;
  if (first === undefined || known.length === 1) return first ?? null;
  return first.map((_, i) => known.reduce((sum, energy) => sum + energy[i], 0) / known.length);
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

/** The tensors that coded layers read, with the axis of their channels: 1, or the last. */
export function inputsOfLayers(model: Model): Map<string, 1 | -1> {
  const layers = weightedNodes(model).filter(
    (layer) => layoutOf(layer) !== null && !isOperator(layer.node, 'ConvTranspose'),
  );
  return new Map(layers.map(({ input, op }) => [input, op === 'MatMul' ? -1 : 1]));
}
