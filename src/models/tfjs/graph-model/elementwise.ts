import { activation, clamp, elementwise, elu, leakyRelu, prelu, softmax, unary } from '../build/elementwise.js';
import type { Value } from '../build/value.js';
import type { NodeContext, OperatorReader } from './node.js';

/** Operators of one input, as ONNX calls them. */
const UNARY: Readonly<Record<string, string>> = {
  ...{ Relu: 'Relu', Selu: 'Selu', Softplus: 'Softplus', Softsign: 'Softsign', Sigmoid: 'Sigmoid', Tanh: 'Tanh' },
  ...{ Sqrt: 'Sqrt', Exp: 'Exp', Log: 'Log', Neg: 'Neg', Abs: 'Abs', Floor: 'Floor', Ceil: 'Ceil', Round: 'Round' },
  ...{ Sign: 'Sign', Erf: 'Erf', Reciprocal: 'Reciprocal', Inv: 'Reciprocal', LogicalNot: 'Not' },
  ...{ Sin: 'Sin', Cos: 'Cos', Tan: 'Tan', Asin: 'Asin', Acos: 'Acos', Atan: 'Atan', Sinh: 'Sinh', Cosh: 'Cosh' },
  ...{ IsNan: 'IsNaN' },
};

const BINARY: Readonly<Record<string, string>> = {
  ...{ Add: 'Add', AddV2: 'Add', Sub: 'Sub', Mul: 'Mul', Div: 'Div', RealDiv: 'Div', Pow: 'Pow' },
  ...{ Maximum: 'Max', Minimum: 'Min' },
};

const COMPARISONS: Readonly<Record<string, string>> = {
  ...{ Greater: 'Greater', GreaterEqual: 'GreaterOrEqual', Less: 'Less', LessEqual: 'LessOrEqual', Equal: 'Equal' },
  ...{ LogicalAnd: 'And', LogicalOr: 'Or' },
};

const two = (node: NodeContext): [Value, Value] => [node.input(0), node.input(1)];
const square = ({ b }: NodeContext, x: Value): Value => elementwise(b, 'Mul', [x, x]);

const all = (of: Readonly<Record<string, string>>, make: (operator: string) => OperatorReader) =>
  Object.fromEntries(Object.entries(of).map(([name, operator]) => [name, make(operator)]));

const sum: OperatorReader = (node) => {
  const [first, ...others] = node.inputs;
  if (first === undefined) throw node.b.fail('AddN has no inputs');
  return others.reduce((total, value) => elementwise(node.b, 'Add', [total, value]), first);
};

const cast: OperatorReader = (node) => {
  const type = node.type('DstT');
  const to = { DT_FLOAT: 'float32', DT_INT32: 'int64', DT_INT64: 'int64', DT_BOOL: 'bool' } as const;
  if (!(type in to)) throw node.b.fail(`a cast to ${type} is not read`);
  return node.b.cast(node.input(0), to[type as keyof typeof to]);
};

export const ELEMENTWISE: Readonly<Record<string, OperatorReader>> = {
  ...all(UNARY, (operator) => (node) => unary(node.b, operator, node.input(0))),
  ...all(BINARY, (operator) => (node) => elementwise(node.b, operator, two(node))),
  ...all(COMPARISONS, (operator) => (node) => elementwise(node.b, operator, two(node), 'bool')),
  AddN: sum,
  NotEqual: (node) => unary(node.b, 'Not', elementwise(node.b, 'Equal', two(node), 'bool')),
  FloorDiv: (node) => {
    const quotient = elementwise(node.b, 'Div', two(node));
    return quotient.type === 'int64' ? quotient : unary(node.b, 'Floor', quotient);
  },
  // Of whole numbers ONNX has it; its remainder of others has the sign of what is divided.
  FloorMod: (node) => {
    const [x, y] = two(node);
    if (x.type === 'int64') return elementwise(node.b, 'Mod', [x, y]);
    const whole = unary(node.b, 'Floor', elementwise(node.b, 'Div', [x, y]));
    return elementwise(node.b, 'Sub', [x, elementwise(node.b, 'Mul', [whole, y])]);
  },
  SquaredDifference: (node) => square(node, elementwise(node.b, 'Sub', two(node))),
  Square: (node) => square(node, node.input(0)),
  Rsqrt: (node) => unary(node.b, 'Reciprocal', unary(node.b, 'Sqrt', node.input(0))),
  Log1p: (node) => unary(node.b, 'Log', elementwise(node.b, 'Add', [node.input(0), node.b.scalar(1)])),
  Expm1: (node) => elementwise(node.b, 'Sub', [unary(node.b, 'Exp', node.input(0)), node.b.scalar(1)]),
  Relu6: (node) => clamp(node.b, node.input(0), 0, 6),
  ClipByValue: (node) => {
    const [low, high] = [node.ints(1, 'the lower end')[0], node.ints(2, 'the upper end')[0]];
    return clamp(node.b, node.input(0), low ?? null, high ?? null);
  },
  Elu: (node) => elu(node.b, node.input(0), 1),
  LeakyRelu: (node) => leakyRelu(node.b, node.input(0), node.number('alpha', 0.2)),
  Prelu: (node) => prelu(node.b, node.input(0), node.constant(1, 'the slope')),
  Softmax: (node) => softmax(node.b, node.input(0)),
  LogSoftmax: (node) => softmax(node.b, node.input(0), { operator: 'LogSoftmax' }),
  Swish: (node) => activation(node.b, node.input(0), 'swish') ?? node.input(0),
  Select: (node) => elementwise(node.b, 'Where', [node.input(0), node.input(1), node.input(2)], node.input(1).type),
  SelectV2: (node) => elementwise(node.b, 'Where', [node.input(0), node.input(1), node.input(2)], node.input(1).type),
  Cast: cast,
};
