import { allNodes, allTensors } from '../graph/graph-index.js';
import { intAttribute } from '../ir/attributes.js';
import {
  DataType,
  int64ToNumber,
  withFields,
  type AttributeProto,
  type GraphProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from '../ir/messages.js';
import { realInputs, type FloatTypes, type Model } from '../ir/model.js';
import { operatorOf } from '../ir/operator.js';
import { elementCount, floatTensor, tensorDims, tensorFloats } from '../ir/tensors.js';

/** Float types that are worked with as float32. */
const OTHERS: ReadonlySet<number> = new Set([DataType.FLOAT16, DataType.BFLOAT16, DataType.DOUBLE]);
/** Attributes that name an element type. */
const TYPE_ATTRIBUTES = new Set(['to', 'dtype', 'output_datatype', 'output_dtype', 'stash_type']);
/** The largest float32: a mask of the lowest double stays a mask. */
const FLOAT_MAX = 3.4028234663852886e38;

/**
 * The same network computing in float32: the runtime has few operators for other floats, and the fit of layers needs
 * the digits. What types the client has is kept beside it, for the file that is written in the end.
 */
export function toSinglePrecision(model: Model): Model {
  const { graph, directory } = model;
  if (!usesOthers(graph)) return model;
  const types: FloatTypes = {
    inputs: typesOf(realInputs(graph)),
    outputs: typesOf(graph.output),
    weights: weightType(graph),
  };
  const own = withoutCasts(converted(graph, directory));
  return { ...model, graph: own, proto: withFields(model.proto, { graph: own }), types };
}

function usesOthers(graph: GraphProto): boolean {
  for (const { tensor } of allTensors(graph)) if (OTHERS.has(tensor.dataType)) return true;
  for (const node of allNodes(graph)) if (node.attribute.some(namesOther)) return true;
  return [...graph.input, ...graph.output].some(({ type }) => OTHERS.has(type?.tensorType?.elemType ?? 0));
}

const namesOther = ({ name, i }: AttributeProto): boolean => TYPE_ATTRIBUTES.has(name) && OTHERS.has(int64ToNumber(i));

/** Of those that are other floats. */
const typesOf = (ports: readonly ValueInfoProto[]): Map<string, number> =>
  new Map(
    ports.flatMap(({ name, type }) => {
      const own = type?.tensorType?.elemType ?? 0;
      return OTHERS.has(own) ? [[name, own]] : [];
    }),
  );

/** The float type that most of the numbers have. */
function weightType(graph: GraphProto): number {
  const counts = new Map<number, number>([[DataType.FLOAT, 0]]);
  for (const { tensor } of allTensors(graph))
    if (OTHERS.has(tensor.dataType) || tensor.dataType === DataType.FLOAT)
      counts.set(tensor.dataType, (counts.get(tensor.dataType) ?? 0) + elementCount(tensorDims(tensor)));
  return [...counts].reduce((most, entry) => (entry[1] > most[1] ? entry : most))[0];
}

function converted(graph: GraphProto, directory: string | null): GraphProto {
  const tensor = (given: TensorProto): TensorProto =>
    OTHERS.has(given.dataType) ? floatTensor(given.name, tensorDims(given), singles(given, directory)) : given;
  const attribute = (given: AttributeProto): AttributeProto =>
    withFields(given, {
      ...(namesOther(given) ? { i: DataType.FLOAT } : {}),
      ...(given.t == null ? {} : { t: tensor(given.t) }),
      ...(given.tensors === undefined ? {} : { tensors: given.tensors.map(tensor) }),
      ...(given.g == null ? {} : { g: converted(given.g, directory) }),
      ...(given.graphs === undefined ? {} : { graphs: given.graphs.map((inner) => converted(inner, directory)) }),
    });
  return withFields(graph, {
    node: graph.node.map((node) =>
      node.attribute.length === 0 ? node : withFields(node, { attribute: node.attribute.map(attribute) }),
    ),
    initializer: graph.initializer.map(tensor),
    input: graph.input.map(singlePort),
    output: graph.output.map(singlePort),
    valueInfo: graph.valueInfo.map(singlePort),
  });
}

function singles(tensor: TensorProto, directory: string | null): Float32Array {
  const values = tensorFloats(tensor, directory);
  return tensor.dataType === DataType.DOUBLE
    ? values.map((value) => Math.min(Math.max(value, -FLOAT_MAX), FLOAT_MAX))
    : values;
}

function singlePort(port: ValueInfoProto): ValueInfoProto {
  const own = port.type?.tensorType;
  if (port.type == null || own == null || !OTHERS.has(own.elemType ?? 0)) return port;
  const tensorType = withFields(own, { elemType: DataType.FLOAT });
  return withFields(port, { type: withFields(port.type, { tensorType }) });
}

/** Their first output is of floats. */
const MAKE_FLOATS = new Set(
  (
    'AveragePool BatchNormalization Celu Conv ConvTranspose Cos DequantizeLinear Elu Erf Exp Gelu Gemm GlobalAveragePool ' +
    'GlobalMaxPool GroupNormalization HardSigmoid HardSwish InstanceNormalization LRN LayerNormalization LeakyRelu Log LogSoftmax ' +
    'MatMul Mish PRelu Reciprocal Selu Sigmoid Sin Softmax Softplus Softsign Sqrt Tanh ThresholdedRelu'
  ).split(' '),
);
/** Their first output has the type of their first input. */
const KEEP_TYPE = new Set(
  (
    'Abs Add Ceil Clip Concat DepthToSpace Div Dropout Expand Flatten Floor Gather GatherElements GatherND Identity Max MaxPool Mean ' +
    'Min Mul Neg Pad Pow ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape Resize Round Slice SpaceToDepth Split Squeeze Sub Sum ' +
    'Tile Transpose Unsqueeze Upsample'
  ).split(' '),
);

/** Casts between floats cast nothing any more. What is of another type, or may be, is cast as before. */
function withoutCasts(graph: GraphProto): GraphProto {
  const floats = new Set<string>();
  for (const { name, type } of graph.input) if (type?.tensorType?.elemType === DataType.FLOAT) floats.add(name);
  for (const { name, dataType } of graph.initializer) if (dataType === DataType.FLOAT) floats.add(name);
  const node = graph.node.map((old): NodeProto => {
    const operator = operatorOf(old);
    const [first = '', second = ''] = old.input;
    const cast = operator === 'Cast' && intAttribute(old, 'to', 0) === DataType.FLOAT;
    const constant = operator === 'Constant' && old.attribute.some(({ t }) => t?.dataType === DataType.FLOAT);
    const kept = KEEP_TYPE.has(operator) || cast ? floats.has(first) : operator === 'Where' && floats.has(second);
    if (cast || constant || kept || MAKE_FLOATS.has(operator)) for (const name of old.output) floats.add(name);
    return cast && floats.has(first) ? withFields(old, { opType: 'Identity', attribute: [] }) : old;
  });
  return withFields(graph, { node });
}
