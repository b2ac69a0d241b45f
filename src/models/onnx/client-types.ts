import { floatToHalf } from '../coding/float16.js';
import { NameSource } from '../graph/graph-index.js';
import { makeInt, makeNode } from '../ir/attributes.js';
import {
  DataType,
  withFields,
  type AttributeProto,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from '../ir/messages.js';
import type { FloatTypes, Model } from '../ir/model.js';
import { byteSize, elementCount, tensorDims, tensorFloats } from '../ir/tensors.js';

/** Fewer numbers stay float32: the node that casts them takes about as many bytes as they save. */
const FEWEST = 256;

/**
 * The network with the types that the client's file has: inputs and outputs are cast at its ends, and weights are kept
 * in the type that most of them had. Double is not: twice the bytes would hold no digit more.
 */
export function withClientTypes(model: Model): Model {
  const { types } = model;
  if (types === undefined) return model;
  const names = new NameSource(model.graph);
  const ends = withPorts(model.graph, types, names);
  const graph = withWeights(ends, { type: types.weights, directory: model.directory, names });
  return { ...model, graph, proto: withFields(model.proto, { graph }) };
}

/** Bytes of all weights in the file that the client gets, wherever they lie. */
export function weightBytes(model: Model): number {
  const bytes = weightTypeBytes(model);
  return model.graph.initializer.reduce((sum, tensor) => {
    const count = elementCount(tensorDims(tensor));
    return sum + (tensor.dataType === DataType.FLOAT && count >= FEWEST ? bytes * count : byteSize(tensor));
  }, 0);
}

/** Of a weight as the client's file has it. */
export const weightTypeBytes = ({ types }: Pick<Model, 'types'>): number =>
  types?.weights === DataType.FLOAT16 || types?.weights === DataType.BFLOAT16 ? 2 : 4;

function withPorts(graph: GraphProto, { inputs, outputs }: FloatTypes, names: NameSource): GraphProto {
  const cast = (from: string, to: string, type: number): NodeProto =>
    makeNode('Cast', names.fresh(`${from}_cast`), [from], [to], [makeInt('to', type)]);
  const inner = new Map<string, string>();
  const first: NodeProto[] = [];
  const last: NodeProto[] = [];
  const made = new Set(graph.node.flatMap(({ output }) => output));
  for (const name of inputs.keys()) {
    if (!graph.input.some((input) => input.name === name)) continue;
    const own = names.fresh(`${name}_${NAMES[DataType.FLOAT] ?? ''}`);
    inner.set(name, own);
    first.push(cast(name, own, DataType.FLOAT));
  }
  for (const [name, type] of outputs) {
    if (!made.has(name)) continue;
    const own = names.fresh(`${name}_${NAMES[DataType.FLOAT] ?? ''}`);
    inner.set(name, own);
    last.push(cast(own, name, type));
  }
  const typed = (types: ReadonlyMap<string, number>) => (port: GraphProto['input'][number]) => {
    const type = types.get(port.name);
    const tensorType = port.type?.tensorType;
    if (type === undefined || port.type == null || tensorType == null || !inner.has(port.name)) return port;
    return withFields(port, {
      type: withFields(port.type, { tensorType: withFields(tensorType, { elemType: type }) }),
    });
  };
  return withFields(graph, {
    node: [...first, ...graph.node.map((node) => renamed(node, inner)), ...last],
    input: graph.input.map(typed(inputs)),
    output: graph.output.map(typed(outputs)),
    valueInfo: graph.valueInfo.filter(({ name }) => !inner.has(name)),
  });
}

const NAMES: Readonly<Record<number, string>> = {
  [DataType.FLOAT]: 'float32',
  [DataType.FLOAT16]: 'float16',
  [DataType.BFLOAT16]: 'bfloat16',
};

/** Subgraphs read tensors of the outer graph by name, too. */
function renamed(node: NodeProto, names: ReadonlyMap<string, string>): NodeProto {
  if (names.size === 0) return node;
  const rename = (name: string): string => names.get(name) ?? name;
  const inGraph = (graph: GraphProto): GraphProto =>
    withFields(graph, {
      node: graph.node.map((child) => renamed(child, names)),
      output: graph.output.map((port) => (names.has(port.name) ? withFields(port, { name: rename(port.name) }) : port)),
    });
  const attribute = node.attribute.map((given): AttributeProto =>
    given.g == null && (given.graphs ?? []).length === 0
      ? given
      : withFields(given, {
          ...(given.g == null ? {} : { g: inGraph(given.g) }),
          ...(given.graphs === undefined ? {} : { graphs: given.graphs.map(inGraph) }),
        }),
  );
  return withFields(node, { input: node.input.map(rename), output: node.output.map(rename), attribute });
}

/** The bits of numbers in a type of 16 bits; null where one of them is beyond it. */
const HALVES: Readonly<Record<number, (values: Float32Array) => Uint16Array | null>> = {
  [DataType.FLOAT16]: (values) => {
    const bits = Uint16Array.from(values, floatToHalf);
    return bits.some((half, i) => (half & 0x7fff) === 0x7c00 && Number.isFinite(values[i])) ? null : bits;
  },
  [DataType.BFLOAT16]: (values) => {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    // To the nearest, ties to even; an infinity and a NaN have no digits that could carry.
    return Uint16Array.from(bits, (all, i) =>
      Number.isFinite(values[i]) ? (all + 0x7fff + ((all >>> 16) & 1)) >>> 16 : all >>> 16,
    );
  },
};

function withWeights(
  graph: GraphProto,
  { type, directory, names }: { type: number; directory: string | null; names: NameSource },
): GraphProto {
  const halve = HALVES[type];
  if (halve === undefined) return graph;
  const casts: NodeProto[] = [];
  const initializer = graph.initializer.map((tensor): TensorProto => {
    const dims = tensorDims(tensor);
    if (tensor.dataType !== DataType.FLOAT || elementCount(dims) < FEWEST) return tensor;
    const bits = halve(tensorFloats(tensor, directory).slice());
    if (bits === null) return tensor;
    const name = names.fresh(`${tensor.name}_${NAMES[type] ?? ''}`);
    casts.push(makeNode('Cast', names.fresh(`${name}_cast`), [name], [tensor.name], [makeInt('to', DataType.FLOAT)]));
    return { name, dims, dataType: type, rawData: new Uint8Array(bits.buffer) };
  });
  return withFields(graph, { node: [...casts, ...graph.node], initializer });
}
