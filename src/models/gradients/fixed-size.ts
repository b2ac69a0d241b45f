import { raiseOpset } from '../passes/raise-opset.js';
import { slicedSplits } from '../passes/slice-splits.js';
import { GraphIndex, NameSource, readBy } from '../graph/graph-index.js';
import { intAttribute, makeNode } from '../ir/attributes.js';
import { DataType, withFields, type NodeProto, type TensorProto } from '../ir/messages.js';
import { atOpset, inputNames, type Model } from '../ir/model.js';
import { operatorOf } from '../ir/operator.js';
import { floatTensor, int64Tensor, tensorDims } from '../ir/tensors.js';
import { fedShapes, samplesFor, type Given } from '../run/feeds.js';
import { Runner } from '../run/runner.js';
import type { Samples } from '../../datasets/samples.js';
import type { Tensor } from '../../datasets/tensor.js';

/**
 * From here on ScatterElements adds; what operators mean has not changed since opset 13, but for some that no rule
 * covers.
 */
const ADDING_OPSET = 17;

/** A network as it is for batches of one size. */
export interface FixedSize {
  model: Model;
  /** Of every tensor that was computed, and of the constants. */
  shapes: Map<string, readonly number[]>;
}

/**
 * Prepares a network to be differentiated for batches like `given`: operators in a known version, all sizes known, what
 * does not depend on the input computed.
 * @throws {InputError} when an old operator cannot be carried over
 */
export async function fixSize(model: Model, given: Given, options: { threads: number }): Promise<FixedSize> {
  const raised = raiseOpset(model);
  const samples = samplesFor(inputNames(raised), given);
  const known = await measure(raised, samples, options.threads);
  const { graph } = raised;
  const initializer = [...graph.initializer, ...known.constants];
  const made = new Set(known.constants.map(({ name }) => name));
  const folded = withFields(graph, {
    node: graph.node.filter((node) => !node.output.every((name) => name === '' || made.has(name))),
    initializer,
  });
  const own = atOpset(raised, folded, Math.max(raised.opset, ADDING_OPSET));
  const shapes = new Map<string, readonly number[]>(known.shapes);
  for (const tensor of initializer) shapes.set(tensor.name, tensorDims(tensor));
  for (const [name, dims] of fedShapes(raised, samples)) shapes.set(name, dims);
  // So that every node has one output that matters.
  const sizesOf = (node: NodeProto): number[] | null => {
    const parts = node.output.map((name) => shapes.get(name));
    const rank = parts[0]?.length ?? 0;
    const axis = (intAttribute(node, 'axis', 0) + rank) % Math.max(1, rank);
    const sizes = parts.flatMap((dims) => dims?.[axis] ?? []);
    return sizes.length === parts.length ? sizes : null;
  };
  return { model: slicedSplits(own, sizesOf), shapes };
}

async function measure(
  model: Model,
  samples: Samples,
  threads: number,
): Promise<{ shapes: Map<string, number[]>; constants: TensorProto[] }> {
  const { graph } = model;
  const index = new GraphIndex(graph);
  const names = new NameSource(graph);
  const varying = new Set(graph.input.map(({ name }) => name));
  const shapeOf = new Map<string, string>();
  const constant: string[] = [];
  for (const node of graph.node) {
    const varies = [...readBy(node)].some((name) => varying.has(name)) || isRandom(operatorOf(node));
    for (const name of node.output) {
      if (name === '') continue;
      if (varies) {
        varying.add(name);
        shapeOf.set(name, names.fresh(`shape/${name}`));
      } else if (!index.isOutput(name)) constant.push(name);
    }
  }
  const probes = [...shapeOf].map(([name, shape]) => makeNode('Shape', shape, [name], [shape]));
  const own = withFields(graph, {
    node: [...graph.node, ...probes],
    output: [
      ...[...shapeOf.values()].map((name) => ({ name, type: { tensorType: { elemType: DataType.INT64 } } })),
      ...constant.map((name) => ({ name })),
    ],
    valueInfo: [],
  });
  const runner = await Runner.open(
    { ...model, graph: own, proto: withFields(model.proto, { graph: own }) },
    { threads },
  );
  try {
    const values = await runner.feed(samples);
    const shapes = new Map<string, number[]>();
    for (const [name, shape] of shapeOf) shapes.set(name, Array.from(values.get(shape)?.data ?? [], Number));
    const constants = constant.flatMap((name) => {
      const value = values.get(name);
      const tensor = value === undefined ? null : constantTensor(name, value);
      return tensor === null ? [] : [tensor];
    });
    return { shapes, constants };
  } finally {
    await runner.release();
  }
}

const isRandom = (operator: string): boolean => operator.startsWith('Random') || operator === 'Multinomial';

function constantTensor(name: string, { data, dims }: Tensor): TensorProto | null {
  if (data instanceof Float32Array) return floatTensor(name, dims, data);
  return data instanceof BigInt64Array ? int64Tensor(name, dims, Array.from(data, Number)) : null;
}
