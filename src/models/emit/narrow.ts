import { makeInt } from '../ir/attributes.js';
import { channelAxis, channelTies, type ChannelTie } from '../graph/channel-ties.js';
import { denseWeightsOf } from '../graph/dense-weights.js';
import { GraphIndex, type NameSource } from '../graph/graph-index.js';
import { withFields, type NodeProto, type TensorProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { isOperator } from '../ir/operator.js';
import { elementCount, tensorDims, tensorFloats } from '../ir/tensors.js';
import type { Factors } from '../layer.js';
import { isMasked, PLAIN_PATTERN } from '../sparse/index.js';
import type { MadeTensors } from './made-tensors.js';
import { isNone, type Replacement } from './replacement.js';
import { pickRows } from './sparse/kept.js';
import type { WeightedNode } from '../graph/weighted-nodes.js';

/** Of a map that is made with fewer channels than in the original; its name is another, since its values are. */
const SUFFIX = '/narrow';

/** The name of a tensor of the original in a rewritten network: another one where channels of it are not made. */
export const nameIn = (model: Model, tensor: string): string => {
  const narrow = `${tensor}${SUFFIX}`;
  return model.graph.node.some(({ output }) => output.includes(narrow)) ? narrow : tensor;
};

/** A tie whose reader keeps only some channels, so that the producer makes only those. */
export interface Narrowing {
  tie: ChannelTie;
  /** Ascending. */
  kept: readonly number[];
}

/**
 * Where a layer became a narrower one of some of its input channels, and of nothing else, the others need not be made.
 * That changes no output of the network.
 */
export function narrowings(model: Model, replacements: ReadonlyMap<string, Replacement>): Narrowing[] {
  const taken = new Set(model.graph.node.flatMap(({ output }) => output));
  return channelTies(model).flatMap((tie) => {
    if (taken.has(`${tie.reader.input}${SUFFIX}`)) return [];
    const reader = replacements.get(tie.reader.name);
    const producer = replacements.get(tie.producer.name);
    if (reader === undefined || !('lowRank' in reader) || reader.lowRank !== null) return [];
    const { sparse } = reader;
    if (sparse?.pattern !== PLAIN_PATTERN || sparse.kept.length === 0) return [];
    if (producer !== undefined && 'lowRank' in producer && hasOwnSupports(producer)) return [];
    return sparse.kept.length < tie.reader.channels ? [{ tie, kept: sparse.kept }] : [];
  });
}

/** The outputs of such a part differ in what they see, and are written together. */
const hasOwnSupports = ({ sparse }: Factors): boolean => sparse !== null && isMasked(sparse.pattern);

/** The reader on a map of the channels that it keeps. */
export function onKept<T extends WeightedNode>(
  layer: T,
  replacement: Replacement,
  { kept }: Narrowing,
): { layer: T; replacement: Replacement } {
  const narrow = { ...layer, input: `${layer.input}${SUFFIX}`, channels: kept.length };
  if (!('lowRank' in replacement) || replacement.sparse === null) return { layer: narrow, replacement };
  const sparse = { ...replacement.sparse, kept: kept.map((_, i) => i) };
  return { layer: narrow, replacement: { ...replacement, sparse } };
}

/** The producer with only the outputs that are kept. @param replacement undefined: its weights as they are */
export function withKept<T extends WeightedNode>(
  layer: T,
  replacement: Replacement | undefined,
  { kept }: Narrowing,
  directory: string | null,
): { layer: T; replacement: Replacement } {
  const narrow = { ...layer, output: `${layer.output}${SUFFIX}`, m: kept.length };
  const rows = (values: Float32Array): Float32Array => pickRows(values, layer.m, kept);
  const given = replacement === undefined || isNone(replacement) ? denseOf(layer, directory) : replacement;
  const bias = rows(given.bias);
  if (!('lowRank' in given)) return { layer: narrow, replacement: { weights: rows(given.weights), bias } };
  const { lowRank, sparse } = given;
  return {
    layer: narrow,
    replacement: {
      lowRank: lowRank === null ? null : { ...lowRank, p: rows(lowRank.p) },
      sparse: sparse === null ? null : { ...sparse, weights: rows(sparse.weights) },
      bias,
    },
  };
}

function denseOf({ node, weight, bias, name }: WeightedNode, directory: string | null) {
  if (weight === null) throw new RangeError(`${name} has no weights`);
  return denseWeightsOf(node, weight, bias, directory);
}

/** The nodes between a producer and its reader, on the kept channels. */
export function narrowBetween(
  model: Model,
  { tie, kept }: Narrowing,
  { names, tensors }: { names: NameSource; tensors: MadeTensors },
): Map<NodeProto, NodeProto> {
  const index = new GraphIndex(model.graph);
  const { producer, between, depthwise } = tie;
  const made = new Set([producer.output, ...between.flatMap(({ output }) => output)]);
  const depthwiseOf = new Map(depthwise.map((layer) => [layer.node, layer]));
  const narrowed = (name: string): string => (made.has(name) ? `${name}${SUFFIX}` : name);
  const result = new Map<NodeProto, NodeProto>();
  let axes: number | null = producer.op === 'Conv' ? producer.kernel.length : null;
  for (const node of between) {
    if (isOperator(node, 'Flatten')) axes = null;
    const isOfChannels = depthwiseOf.has(node);
    const constant = (name: string): string => {
      const tensor = index.initializer(name);
      if (tensor === null || elementCount(tensorDims(tensor)) === 1) return name;
      const axis = isOfChannels ? 0 : channelAxis(tensor, producer, axes);
      return axis === null ? name : tensors.floats(name, ...along(tensor, { axis, kept }, model.directory));
    };
    const input = node.input.map((name) => (made.has(name) ? narrowed(name) : constant(name)));
    const attribute = isOfChannels
      ? [...node.attribute.filter(({ name }) => name !== 'group'), makeInt('group', kept.length)]
      : node.attribute;
    const name = names.fresh(node.name);
    result.set(node, withFields(node, { name, input, output: node.output.map(narrowed), attribute }));
  }
  return result;
}

/** Shape and numbers of some of the places along an axis. */
function along(
  tensor: TensorProto,
  { axis, kept }: { axis: number; kept: readonly number[] },
  directory: string | null,
): [number[], Float32Array] {
  const dims = tensorDims(tensor);
  // Before the axis all dimensions are 1.
  const values = pickRows(tensorFloats(tensor, directory), dims[axis] ?? 0, kept);
  return [dims.map((size, i) => (i === axis ? kept.length : size)), values];
}
