import { floatAttribute } from '../ir/attributes.js';
import type { NodeProto } from '../ir/messages.js';
import type { Rule, Tape } from './tape.js';

/** dy times the slope at x (or as it follows from y). */
const slope =
  (of: (tape: Tape, x: string, y: string, node: NodeProto) => string | null): Rule =>
  (tape, node, gradient) => {
    const factor = of(tape, node.input[0] ?? '', node.output[0] ?? '', node);
    return factor === null ? null : [tape.mul(gradient, factor)];
  };

/** A function's input and output. */
interface At {
  x: string;
  y: string;
  node: NodeProto;
}

/** The operator's own. */
const SELU_ALPHA = 1.6732632;
const SELU_GAMMA = 1.050701;

/** dy where a condition holds, elsewhere 0. */
const gate = (holds: (tape: Tape, x: string, y: string, node: NodeProto) => string | null): Rule =>
  slope((tape, x, y, node) => {
    const condition = holds(tape, x, y, node);
    return condition === null ? null : tape.mask(condition);
  });

/** dy (times `factor`) where a condition holds, elsewhere what `otherwise` makes of it. */
const fork =
  (
    holds: (tape: Tape, x: string, y: string, node: NodeProto) => string | null,
    otherwise: (tape: Tape, gradient: string, at: At) => string,
    factor: (at: At) => number = () => 1,
  ): Rule =>
  (tape, node, gradient) => {
    const [x = ''] = node.input;
    const [y = ''] = node.output;
    const condition = holds(tape, x, y, node);
    if (condition === null) return null;
    const at = { x, y, node };
    return [tape.where(condition, tape.scaled(gradient, factor(at)), otherwise(tape, gradient, at))];
  };

const above = (tape: Tape, name: string, bound: number): string => tape.emit('Greater', [name, tape.float(bound)]);
const below = (tape: Tape, name: string, bound: number): string => tape.emit('Less', [name, tape.float(bound)]);
const atLeast = (tape: Tape, name: string, bound: number): string =>
  tape.emit('GreaterOrEqual', [name, tape.float(bound)]);
const both = (tape: Tape, a: string, b: string): string => tape.emit('And', [a, b]);

/** Where x lies strictly within the bounds of a Clip, which are attributes or constants; null if they are computed. */
function withinBounds(tape: Tape, x: string, node: NodeProto): string | null {
  const bound = (position: number, name: string, open: number): number | null => {
    const input = node.input[position] ?? '';
    return input === '' ? floatAttribute(node, name, open) : (tape.floatsOf(input)?.[0] ?? null);
  };
  const low = bound(1, 'min', -3e38);
  const high = bound(2, 'max', 3e38);
  return low === null || high === null ? null : both(tape, above(tape, x, low), below(tape, x, high));
}

const normalDensity = (tape: Tape, x: string): string =>
  tape.scaled(tape.emit('Exp', [tape.scaled(tape.mul(x, x), -0.5)]), 1 / Math.sqrt(2 * Math.PI));

/** Slopes of the functions of one variable. */
export const FUNCTIONS: Record<string, Rule> = {
  Relu: gate((tape, _, y) => above(tape, y, 0)),
  LeakyRelu: slope((tape, x, _, node) => {
    const alpha = floatAttribute(node, 'alpha', 0.01);
    return tape.emit('Add', [tape.scaled(tape.mask(above(tape, x, 0)), 1 - alpha), tape.float(alpha)]);
  }),
  Elu: fork(
    (tape, x) => above(tape, x, 0),
    (tape, gradient, { y, node }) =>
      tape.mul(gradient, tape.emit('Add', [y, tape.float(floatAttribute(node, 'alpha', 1))])),
  ),
  Selu: fork(
    (tape, x) => above(tape, x, 0),
    (tape, gradient, { y, node }) => {
      const gamma = floatAttribute(node, 'gamma', SELU_GAMMA);
      const limit = gamma * floatAttribute(node, 'alpha', SELU_ALPHA);
      return tape.mul(gradient, tape.emit('Add', [y, tape.float(limit)]));
    },
    ({ node }) => floatAttribute(node, 'gamma', SELU_GAMMA),
  ),
  Celu: fork(
    (tape, x) => above(tape, x, 0),
    (tape, gradient, { x, node }) =>
      tape.mul(gradient, tape.emit('Exp', [tape.scaled(x, 1 / floatAttribute(node, 'alpha', 1))])),
  ),
  ThresholdedRelu: gate((tape, x, _, node) => above(tape, x, floatAttribute(node, 'alpha', 1))),
  Softsign: slope((tape, x) => {
    const size = tape.emit('Add', [tape.emit('Abs', [x]), tape.float(1)]);
    return tape.emit('Reciprocal', [tape.mul(size, size)]);
  }),
  Clip: gate((tape, x, _, node) => withinBounds(tape, x, node)),
  HardSigmoid: (tape, node, gradient) => {
    const [y = ''] = node.output;
    const inside = both(tape, above(tape, y, 0), below(tape, y, 1));
    return [tape.gated(inside, tape.scaled(gradient, floatAttribute(node, 'alpha', 0.2)))];
  },
  HardSwish: slope((tape, x) => {
    const middle = tape.emit('Add', [tape.scaled(x, 1 / 3), tape.float(0.5)]);
    const inside = both(tape, above(tape, x, -3), below(tape, x, 3));
    return tape.emit('Add', [tape.gated(inside, middle), tape.mask(atLeast(tape, x, 3))]);
  }),
  Sigmoid: slope((tape, _, y) => tape.mul(y, tape.emit('Sub', [tape.float(1), y]))),
  Tanh: slope((tape, _, y) => tape.emit('Sub', [tape.float(1), tape.mul(y, y)])),
  Softplus: slope((tape, x) => tape.emit('Sigmoid', [x])),
  Erf: slope((tape, x) => tape.scaled(tape.emit('Exp', [tape.scaled(tape.mul(x, x), -1)]), 2 / Math.sqrt(Math.PI))),
  // The form by tanh differs by less than 0.001.
  Gelu: slope((tape, x) => {
    const erf = tape.emit('Erf', [tape.scaled(x, Math.SQRT1_2)]);
    const cumulative = tape.scaled(tape.emit('Add', [erf, tape.float(1)]), 0.5);
    return tape.emit('Add', [cumulative, tape.mul(x, normalDensity(tape, x))]);
  }),
  Exp: slope((_tape, _x, y) => y),
  Log: slope((tape, x) => tape.emit('Reciprocal', [x])),
  Sqrt: slope((tape, _, y) => tape.emit('Div', [tape.float(0.5), y])),
  Neg: slope((tape) => tape.float(-1)),
  Abs: slope((tape, x) => tape.emit('Sign', [x])),
  Reciprocal: slope((tape, _, y) => tape.scaled(tape.mul(y, y), -1)),
  Pow: (tape, node, gradient, wants) => {
    const [x = '', power = ''] = node.input;
    const exponents = tape.floatsOf(power);
    const [exponent = 1] = exponents ?? [];
    if (exponents?.length !== 1 || wants(1)) return null;
    const lower = tape.emit('Pow', [x, tape.float(exponent - 1)]);
    return [tape.mul(gradient, tape.scaled(lower, exponent)), null];
  },
};

type Operand = (tape: Tape, gradient: string, of: { a: string; b: string; y: string }) => string;

/** Functions of two tensors that are broadcast against each other. */
const binary =
  (first: Operand, second: Operand): Rule =>
  (tape, node, gradient, wants) => {
    const [a = '', b = ''] = node.input;
    const [y = ''] = node.output;
    const shape = tape.shapeOf(y);
    const own = (of: Operand, name: string) => tape.sumTo(of(tape, gradient, { a, b, y }), shape, tape.shapeOf(name));
    return [wants(0) ? own(first, a) : null, wants(1) ? own(second, b) : null];
  };

/** Of any number of tensors: each gets the gradient where it is the chosen one, all of them where they are equal. */
const chosen: Rule = (tape, node, gradient, wants) => {
  const [y = ''] = node.output;
  const shape = tape.shapeOf(y);
  return node.input.map((name, position) =>
    wants(position) ? tape.sumTo(tape.gated(tape.emit('Equal', [name, y]), gradient), shape, tape.shapeOf(name)) : null,
  );
};

/** The sum of any number of tensors, or their mean. */
const summed =
  (mean: boolean): Rule =>
  (tape, node, gradient, wants) => {
    const shape = tape.shapeOf(node.output[0] ?? '');
    const share = tape.scaled(gradient, mean ? 1 / node.input.length : 1);
    return node.input.map((name, position) => (wants(position) ? tape.sumTo(share, shape, tape.shapeOf(name)) : null));
  };

/** x where it is positive, elsewhere times a slope, which may be a trained one. */
const prelu: Rule = (tape, node, gradient, wants) => {
  const [x = '', slopes = ''] = node.input;
  const positive = tape.mask(above(tape, x, 0));
  const negative = tape.emit('Sub', [tape.float(1), positive]);
  const shape = tape.shapeOf(x);
  const ofX = () => tape.mul(gradient, tape.emit('Add', [positive, tape.mul(negative, slopes)]));
  const ofSlopes = () => tape.sumTo(tape.mul(negative, tape.mul(gradient, x)), shape, tape.shapeOf(slopes));
  return [wants(0) ? ofX() : null, wants(1) ? ofSlopes() : null];
};

export const ARITHMETIC: Record<string, Rule> = {
  Max: chosen,
  Min: chosen,
  Sum: summed(false),
  Mean: summed(true),
  PRelu: prelu,
  Add: binary(
    (_, gradient) => gradient,
    (_, gradient) => gradient,
  ),
  Sub: binary(
    (_, gradient) => gradient,
    (tape, gradient) => tape.scaled(gradient, -1),
  ),
  Mul: binary(
    (tape, gradient, { b }) => tape.mul(gradient, b),
    (tape, gradient, { a }) => tape.mul(gradient, a),
  ),
  Div: binary(
    (tape, gradient, { b }) => tape.emit('Div', [gradient, b]),
    (tape, gradient, { b, y }) => tape.scaled(tape.emit('Div', [tape.mul(gradient, y), b]), -1),
  ),
};
