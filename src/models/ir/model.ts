import type { ModelFormatName } from '../formats/index.js';
import { DataType, dataTypeName, withFields, type ModelProto, type GraphProto, type TensorProto } from './messages.js';

/**
 * The network under work, whatever format it came in: a graph of operators with the meaning that the ONNX operator set
 * gives them, which is also what the runtime takes. A format is read into it and written from it. Never changed in
 * place: every pass returns a new one that shares the tensors it left alone.
 */
export interface Model {
  proto: ModelProto;
  graph: GraphProto;
  /** Version of the default operator set. */
  opset: number;
  /** What the client sent. */
  format: ModelFormatName;
  /** Where external data files lie; null when there are none. */
  directory: string | null;
  /** Name of the .onnx file, for external data written beside it. */
  filename: string;
  /** What its format has to know to write it as it came; only that format looks at it. */
  origin?: object;
  /** Where the client's file has other floats than float32, which the network under work has throughout. */
  types?: FloatTypes;
}

/** Element types of a client's file, by the numbers that ONNX gives them. */
export interface FloatTypes {
  /** By name of the input or output; without those that are float32 anyway. */
  inputs: ReadonlyMap<string, number>;
  outputs: ReadonlyMap<string, number>;
  /** Of most of the weights. */
  weights: number;
}

/**
 * Element types of the client's file in the runtime's names: of inputs and outputs that are other floats than float32,
 * and of its weights.
 */
export function clientTypes({ types }: Pick<Model, 'types'>): {
  inputs: ReadonlyMap<string, string>;
  outputs: ReadonlyMap<string, string>;
  weights: string;
} {
  const named = (ports: ReadonlyMap<string, number> = new Map()) =>
    new Map([...ports].map(([name, type]) => [name, nameOf(type)]));
  return {
    inputs: named(types?.inputs),
    outputs: named(types?.outputs),
    weights: nameOf(types?.weights ?? DataType.FLOAT),
  };
}

const nameOf = (type: number): string =>
  type === DataType.FLOAT ? 'float32' : type === DataType.DOUBLE ? 'float64' : dataTypeName(type);

/** Whether a domain is that of the default operator set. */
export const isDefaultDomain = (domain: string | undefined): boolean =>
  domain === undefined || domain === '' || domain === 'ai.onnx';

/** The model with another graph, written in version `opset` of the default operator set. */
export function atOpset(model: Model, graph: GraphProto, opset: number): Model {
  const opsetImport = model.proto.opsetImport.map((set) =>
    isDefaultDomain(set.domain) ? withFields(set, { version: opset }) : set,
  );
  return { ...model, opset, graph, proto: withFields(model.proto, { graph, opsetImport }) };
}

/** Initializers of the graph by name. */
export function initializersOf(graph: GraphProto): Map<string, TensorProto> {
  return new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
}

/** Inputs that a caller has to give: with old IR versions the initializers are listed as inputs too. */
export function realInputs(graph: GraphProto): GraphProto['input'] {
  const initializers = new Set(graph.initializer.map((tensor) => tensor.name));
  return graph.input.filter((input) => !initializers.has(input.name));
}

/** Names of the inputs that a caller has to give, in the model's order. */
export const inputNames = ({ graph }: Pick<Model, 'graph'>): string[] => realInputs(graph).map(({ name }) => name);
