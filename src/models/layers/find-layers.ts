import { countOf } from '../../datasets/samples.js';
import type { Layer } from '../layer.js';
import { activationAfter } from '../graph/activations.js';
import { automaticPads, padsOfTransposed } from '../graph/auto-pad.js';
import { denseWeightsOf, type DenseWeights } from '../graph/dense-weights.js';
import { channelTies } from '../graph/channel-ties.js';
import { GraphIndex } from '../graph/graph-index.js';
import { intsAttribute } from '../ir/attributes.js';
import type { TensorProto } from '../ir/messages.js';
import { inputNames, type Model } from '../ir/model.js';
import { isOperator } from '../ir/operator.js';
import { elementCount, tensorDims } from '../ir/tensors.js';
import { usesIn, weightedNodes, type WeightedNode } from '../graph/weighted-nodes.js';
import { weightsBeside } from '../graph/weights-beside.js';
import { fedShapes, samplesFor, type Given } from '../run/feeds.js';
import { Runner } from '../run/runner.js';

export interface ListedLayers {
  layers: Layer[];
  /** Weights and biases of all layers, each tensor once, and what the network holds beside them. */
  parameters: number;
  /** Multiply-accumulates of all layers, per sample. */
  macs: number;
}

/**
 * The weighted layers of a prepared model, in graph order. Shapes come from running the network once.
 * @param given a small batch that the model takes; two samples tell the batch axis from the others
 */
export async function listLayers(model: Model, given: Given, options: { threads: number }): Promise<ListedLayers> {
  const nodes = weightedNodes(model);
  const index = new GraphIndex(model.graph);
  const skips = new Map(nodes.map((node) => [node, skipAt(node.output, index)]));
  const names = new Set(
    nodes.flatMap((node) => [node.input, node.output, ...node.node.output.slice(0, 1), skips.get(node)?.other ?? '']),
  );
  const constants = new Set(model.graph.initializer.map(({ name }) => name));
  const inputs = new Set(model.graph.input.map(({ name }) => name));
  const capture = [...names].filter((name) => name !== '' && !constants.has(name) && !inputs.has(name));
  const runner = await Runner.open(model, { threads: options.threads, capture });
  try {
    const samples = samplesFor(inputNames(model), given);
    const values = await runner.run(samples);
    const shapes = new Map([...values].map(([name, { dims }]) => [name, dims]));
    for (const [name, dims] of fedShapes(model, samples)) shapes.set(name, dims);
    return assemble(model, { index, nodes, skips, shapes }, countOf(samples));
  } finally {
    await runner.release();
  }
}

function assemble(
  model: Model,
  {
    index,
    nodes,
    skips,
    shapes,
  }: {
    index: GraphIndex;
    nodes: WeightedNode[];
    skips: ReadonlyMap<WeightedNode, Layer['skip']>;
    shapes: Map<string, number[]>;
  },
  batch: number,
): ListedLayers {
  const counted = new Set<string>();
  const described = nodes.map((node): Layer => {
    const input = shapes.get(node.input) ?? [];
    const output = shapes.get(node.output) ?? [];
    const m = node.m === 0 ? (output[node.op === 'Conv' ? 1 : output.length - 1] ?? 0) : node.m;
    const channels = node.channels === 0 ? (input[node.op === 'Conv' ? 1 : input.length - 1] ?? 0) : node.channels;
    const d = channels * elementCount(node.kernel);
    // A recurrent layer may have its last state as its only output.
    const positions =
      node.recurrence !== null
        ? elementCount(input) / (batch * channels)
        : m === 0
          ? 0
          : elementCount(output) / (batch * m);
    let parameters = 0;
    for (const tensor of [node.weight, node.recurrence, node.bias]) {
      if (tensor === null || counted.has(tensor.name)) continue;
      counted.add(tensor.name);
      parameters += elementCount(tensorDims(tensor));
    }
    const transposed = isOperator(node.node, 'ConvTranspose');
    const macs = transposed
      ? (elementCount(input) / batch) * (m / node.group) * elementCount(node.kernel)
      : node.recurrence !== null
        ? positions * (sizeOf(node.weight) + sizeOf(node.recurrence))
        : positions * m * d;
    const found = skips.get(node) ?? null;
    const skip = found !== null && String(shapes.get(found.other)) === String(output) ? found : null;
    const blocked =
      node.blocked ??
      (Number.isInteger(positions) && positions > 0 ? null : 'its rows are not a multiple of the batch');
    return {
      name: node.name,
      op: node.op,
      m,
      d,
      channels,
      kernel: node.kernel,
      strides: node.strides,
      dilations: node.dilations,
      pads: node.pads ?? (transposed ? transposedPads(node, input, output) : automaticPads(node, input.slice(2))),
      ...(transposed ? { transposed: node.pads === null ? ('sized' as const) : ('padded' as const) } : {}),
      group: node.group,
      input: node.input,
      output: node.output,
      positions: Math.floor(positions),
      inputSize: node.op === 'Conv' ? input.slice(2) : [],
      outputSize: node.op === 'Conv' ? output.slice(2) : [],
      activation: activationAfter(skip?.sum ?? node.output, index, model.directory),
      skip,
      hasBias: node.bias !== null,
      parameters,
      macs: Math.round(macs),
      blocked,
    };
  });
  const layers = nodes.flatMap((node, i): Layer[] => {
    const own = described[i];
    if (own === undefined || node.first !== null) return [];
    const uses = described.filter((_, k) => k === i || nodes[k]?.first === node.name);
    return [uses.length === 1 ? own : together(own, uses, biasesOf(model, own.name))];
  });
  addTies(model, layers);
  return {
    layers,
    parameters: layers.reduce((sum, layer) => sum + layer.parameters, weightsBeside(model, nodes)),
    macs: layers.reduce((sum, layer) => sum + layer.macs, 0),
  };
}

/** Says of every layer that alone reads another one's outputs whose they are. */
function addTies(model: Model, layers: readonly Layer[]): void {
  const known = new Map(layers.map((layer) => [layer.name, layer]));
  for (const { reader, producer, depthwise } of channelTies(model)) {
    const layer = known.get(reader.name);
    const between = depthwise.map(({ name }) => known.get(name));
    if (layer === undefined || !between.every((own) => own !== undefined)) continue;
    layer.narrows = { producer: producer.name, depthwise: between };
  }
}

/** Several nodes with the same weights, as one layer. Where other functions follow them it is fitted before those. */
function together(first: Layer, uses: readonly Layer[], biases: readonly (Float32Array | null)[]): Layer {
  const sum = (numberOf: (use: Layer) => number): number => uses.reduce((all, use) => all + numberOf(use), 0);
  const functionOf = ({ activation }: Layer): string => JSON.stringify(activation);
  const same = uses.every((use) => functionOf(use) === functionOf(first));
  const different = new Set(biases.map((bias) => (bias === null ? '' : bias.join(' '))));
  return {
    ...first,
    positions: sum(({ positions }) => positions),
    macs: sum(({ macs }) => macs),
    parameters: sum(({ parameters }) => parameters),
    hasBias: uses.every(({ hasBias }) => hasBias),
    activation: same ? first.activation : { kind: 'identity' },
    uses: uses.map((use) => ({
      name: use.name,
      strides: use.strides,
      dilations: use.dilations,
      pads: use.pads,
      input: use.input,
      output: use.output,
      positions: use.positions,
      inputSize: use.inputSize,
      outputSize: use.outputSize,
      activation: use.activation,
      skip: use.skip,
    })),
    ...(different.size > 1 ? { biases: different.size } : {}),
    blocked: uses.map(({ blocked }) => blocked).find((reason) => reason !== null) ?? null,
  };
}

const transposedPads = (node: WeightedNode, input: readonly number[], output: readonly number[]): number[] =>
  padsOfTransposed(node, {
    more: intsAttribute(node.node, 'output_padding') ?? [],
    input: input.slice(2),
    output: output.slice(2),
  });

const sizeOf = (tensor: TensorProto | null): number => (tensor === null ? 0 : elementCount(tensorDims(tensor)));

/** The sum that is the only reader of `tensor`, with another branch of the network. */
function skipAt(tensor: string, index: GraphIndex): Layer['skip'] {
  const add = index.soleConsumer(tensor);
  if (add === null || !isOperator(add, 'Add') || add.input.length !== 2) return null;
  const other = add.input[0] === tensor ? add.input[1] : add.input[0];
  const sum = add.output[0];
  if (other === undefined || sum === undefined || other === tensor || index.initializer(other) !== null) return null;
  return { other, sum };
}

/**
 * Weights [m, d] and bias [m] of one layer; of several uses the first one's bias. The weights may be a view of the model:
 * not to be written to.
 */
export function denseWeights(model: Model, layer: Pick<Layer, 'name'>): DenseWeights {
  const node = weightedNodes(model).find(({ name }) => name === layer.name);
  if (node?.weight == null || node.blocked !== null)
    throw new RangeError(`${layer.name} is not a layer with plain weights`);
  return denseWeightsOf(node.node, node.weight, node.bias, model.directory);
}

/** Of every use of a layer, in graph order: [m], or null where it adds none. @param name of the first use */
function biasesOf(model: Model, name: string): (Float32Array | null)[] {
  return usesIn(model, name).map(({ node, weight, bias }) =>
    weight === null || bias === null ? null : denseWeightsOf(node, weight, bias, model.directory).bias,
  );
}

/**
 * How the bias of every use of a layer differs from that of the first, in graph order: [m], or null where it does not.
 * The uses share what they learn of the weights, and each keeps its own difference.
 */
export function biasShifts(model: Model, layer: Pick<Layer, 'name'>): (Float32Array | null)[] {
  const [first = null, ...others] = biasesOf(model, layer.name);
  const shift = (own: Float32Array | null): Float32Array | null => {
    const length = own?.length ?? first?.length ?? 0;
    const difference = Float32Array.from({ length }, (_, i) => (own?.[i] ?? 0) - (first?.[i] ?? 0));
    return difference.some((value) => value !== 0) ? difference : null;
  };
  return [null, ...others.map(shift)];
}
