import { InputError } from '../../errors/index.js';
import { floatAttribute, hasAttribute, intAttribute, makeInt, makeNode } from '../ir/attributes.js';
import { NameSource } from '../graph/graph-index.js';
import { withFields, type Int64, type NodeProto, type TensorProto } from '../ir/messages.js';
import { atOpset, isDefaultDomain, type Model } from '../ir/model.js';
import { operatorOf } from '../ir/operator.js';
import { floatTensor, int64Tensor } from '../ir/tensors.js';
import { nodeLabel } from '../graph/validate.js';

/** From here on DequantizeLinear takes a scale for every row. */
export const INTEGER_OPSET = 13;

/** Operators that mean in opset 13 what they meant when they came, from opset 7 on. */
const SAME = new Set(
  (
    'Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool Cast Ceil Celu Concat Constant ConstantOfShape Conv ' +
    'ConvInteger ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div DynamicQuantizeLinear Einsum Elu Equal Erf Exp ' +
    'Expand Flatten Floor Gather GatherElements GatherND Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual ' +
    'HardSigmoid Identity InstanceNormalization IsInf IsNaN LRN LeakyRelu Less LessOrEqual Log LpNormalization LpPool MatMul ' +
    'MatMulInteger Max MaxPool Mean Min Mod Mul Neg NonZero Not OneHot Or PRelu Pow QLinearConv QLinearMatMul QuantizeLinear Range ' +
    'Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSumSquare Relu ' +
    'Reshape Round Selu Shape Sigmoid Sign Sin Sinh Size Softplus Softsign SpaceToDepth Sqrt Sub Sum Tan Tanh ThresholdedRelu Tile ' +
    'Transpose Where Xor'
  ).split(' '),
);

interface Old {
  node: NodeProto;
  opset: number;
  /** A name that is not taken yet. */
  fresh: (part: string) => string;
  /** Adds a constant and returns its name. */
  integers: (part: string, values: readonly number[]) => string;
  float: (part: string, value: number) => string;
}

/** Nodes of opset 13 that do the same; null where there are none. */
type Convert = (old: Old) => NodeProto[] | null;

/** Attributes are inputs since `since`. */
function withInputs(old: Old, since: number, constants: () => (string | null)[], names: string[]): NodeProto[] | null {
  const { node, opset } = old;
  if (opset >= since) return [node];
  const inputs = constants();
  if (inputs.includes(null)) return null;
  const attribute = node.attribute.filter(({ name }) => !names.includes(name));
  return [withFields(node, { input: [node.input[0] ?? '', ...inputs.flatMap((name) => name ?? [])], attribute })];
}

/** A list of numbers that may be left out. */
const optional =
  (name: string): Convert =>
  (old) => {
    const values = numbers(old.node, name);
    return withInputs(old, 13, () => (values === null ? [] : [old.integers(name, values)]), [name]);
  };

/** Until opset 12 over all axes from `axis` on as if they were one. */
const softmax: Convert = ({ node, fresh }) => {
  const axis = intAttribute(node, 'axis', 1);
  const input = node.input[0] ?? '';
  const output = node.output[0] ?? '';
  const last = [makeInt('axis', -1)];
  if (axis === -1) return [node];
  const [shape, flat, result] = [fresh('shape'), fresh('flat'), fresh('result')];
  return [
    makeNode('Shape', fresh('shape_of'), [input], [shape]),
    makeNode('Flatten', fresh('flatten'), [input], [flat], [makeInt('axis', axis)]),
    withFields(node, { input: [flat], output: [result], attribute: last }),
    makeNode('Reshape', fresh('unflatten'), [result, shape], [output]),
  ];
};

const since =
  (first: number): Convert =>
  ({ node, opset }) =>
    opset >= first ? [node] : null;

const CHANGED: ReadonlyMap<string, Convert> = new Map(
  Object.entries<Convert>({
    BatchNormalization: ({ node }) =>
      hasAttribute(node, 'spatial') && intAttribute(node, 'spatial', 1) === 0
        ? null
        : [withFields(node, { attribute: node.attribute.filter(({ name }) => name !== 'spatial') })],
    Clip: (old) =>
      withInputs(
        old,
        11,
        () => [
          old.float('min', Math.max(floatAttribute(old.node, 'min', -FLOAT_MAX), -FLOAT_MAX)),
          old.float('max', Math.min(floatAttribute(old.node, 'max', FLOAT_MAX), FLOAT_MAX)),
        ],
        ['min', 'max'],
      ),
    // What `prepare` leaves of it makes an output of the network.
    Dropout: ({ node }) =>
      node.output.slice(1).some((name) => name !== '')
        ? null
        : [makeNode('Identity', node.name, node.input.slice(0, 1), node.output.slice(0, 1))],
    LogSoftmax: softmax,
    Pad: (old) => {
      const pads = numbers(old.node, 'pads');
      const value = floatAttribute(old.node, 'value', 0);
      return withInputs(old, 11, () => [pads && old.integers('pads', pads), old.float('value', value)], [
        'pads',
        'value',
      ]);
    },
    ReduceSum: optional('axes'),
    Resize: since(11),
    Slice: (old) => {
      const [starts, ends] = [numbers(old.node, 'starts'), numbers(old.node, 'ends')];
      const axes = numbers(old.node, 'axes') ?? starts?.map((_, axis) => axis) ?? null;
      const constants = () => [
        starts && old.integers('starts', starts),
        ends && old.integers('ends', ends),
        axes && old.integers('axes', axes),
      ];
      return withInputs(old, 10, constants, ['starts', 'ends', 'axes']);
    },
    Softmax: softmax,
    Split: optional('split'),
    Squeeze: optional('axes'),
    TopK: since(10),
    Unsqueeze: optional('axes'),
  }),
);

const FLOAT_MAX = 3.4028234663852886e38;

/** No tensor is longer: what stands for its end may be anything beyond. */
const LONGEST = 2 ** 31 - 1;

function numbers(node: NodeProto, name: string): number[] | null {
  const exact = (value: Int64) => (typeof value === 'number' ? value : value.toNumber());
  const ints = node.attribute.find((attribute) => attribute.name === name)?.ints;
  return ints?.map((value) => Math.min(LONGEST, Math.max(-LONGEST, exact(value)))) ?? null;
}

/**
 * The same network in opset 13, or `model` itself when that is its opset or an older one.
 * @throws {InputError} for an operator that cannot be carried over
 */
export function raiseOpset(model: Model): Model {
  const { opset } = model;
  if (opset >= INTEGER_OPSET) return model;
  const names = new NameSource(model.graph);
  const added: TensorProto[] = [];
  const add = (tensor: TensorProto) => {
    added.push(tensor);
    return tensor.name;
  };
  const node = model.graph.node.flatMap((old) => {
    if (!isDefaultDomain(old.domain) || SAME.has(operatorOf(old))) return [old];
    const fresh = (part: string) => names.fresh(`${old.output[0] ?? operatorOf(old)}_${part}`);
    const now = CHANGED.get(operatorOf(old))?.({
      node: old,
      opset,
      fresh,
      integers: (part, values) => add(int64Tensor(fresh(part), [values.length], values)),
      float: (part, value) => add(floatTensor(fresh(part), [], Float32Array.of(value))),
    });
    if (now == null) throw tooOld(opset, old);
    return now;
  });
  const graph = withFields(model.graph, { node, initializer: [...model.graph.initializer, ...added] });
  return atOpset(model, graph, INTEGER_OPSET);
}

function tooOld(opset: number, node: NodeProto): InputError {
  const needed = String(INTEGER_OPSET);
  const detail = `weights as static_int8 need opset ${needed}, and ${nodeLabel(node)} of opset ${String(opset)} cannot be carried over: export the model with opset ${needed} or newer`;
  return new InputError('invalid_model', detail, {
    faults: [
      { pointer: '#model/opset_import', detail },
      { pointer: '/method/weights/coding', detail },
    ],
    ...(node.name === '' ? {} : { layer: node.name }),
  });
}
