import { floatAttribute, intAttribute } from '../ir/attributes.js';
import type { NodeProto } from '../ir/messages.js';
import type { Rule, Tape } from './tape.js';

/** y = (x - mean) / sqrt(variance + epsilon) * scale + shift with constants: in inference. */
export const batchNormalization: Rule = (tape, node, gradient, wants) => {
  const [, scale, , , variance] = node.input;
  if ([1, 2, 3, 4].some(wants)) return null;
  const factors = tape.floatsOf(scale);
  const spreads = tape.floatsOf(variance);
  if (factors === null || spreads === null) return null;
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  const rank = tape.shapeOf(node.output[0] ?? '').length;
  const slopes = factors.map((factor, i) => factor / Math.sqrt(spreads[i] + epsilon));
  const dims = [1, slopes.length, ...new Array<number>(Math.max(0, rank - 2)).fill(1)];
  return [tape.mul(gradient, tape.floats(dims, slopes)), null, null, null, null];
};

/** How the numbers lie that are normalized together, and their factors. */
interface Together {
  /** Of the input, as it is normalized. */
  shape: readonly number[];
  /** Over which mean and variance are taken. */
  axes: readonly number[];
  /** In which scale and shift are broadcast against the output. */
  factorDims: readonly number[];
}

/**
 * y = (x - mean) / sqrt(variance + epsilon) * scale + shift with mean and variance of x itself, over some of its axes.
 */
const normalization =
  (layoutOf: (tape: Tape, node: NodeProto) => Together | null): Rule =>
  (tape, node, gradient, wants) => {
    const [x = '', scale = '', shift = ''] = node.input;
    const layout = layoutOf(tape, node);
    if (layout === null || node.output.slice(1).some((name) => name !== '')) return null;
    const { shape, axes, factorDims } = layout;
    const input = tape.shapeOf(x);
    const count = axes.reduce((product, axis) => product * (shape[axis] ?? 1), 1);
    const mean = (of: string) => tape.scaled(tape.sum(of, axes, true), 1 / count);
    const values = tape.reshape(x, shape);
    const centred = tape.emit('Sub', [values, mean(values)]);
    const variance = mean(tape.mul(centred, centred));
    const epsilon = tape.float(floatAttribute(node, 'epsilon', 1e-5));
    const spread = tape.emit('Sqrt', [tape.emit('Add', [variance, epsilon])]);
    const normal = tape.emit('Div', [centred, spread]);
    const ofFactor = (of: string, name: string) => tape.reshape(tape.sumTo(of, input, factorDims), tape.shapeOf(name));
    const behind = (): string => {
      const inner = scale === '' ? gradient : tape.mul(gradient, tape.reshape(scale, factorDims));
      const given = tape.reshape(inner, shape);
      const along = tape.mul(normal, mean(tape.mul(given, normal)));
      const rest = tape.emit('Sub', [tape.emit('Sub', [given, mean(given)]), along]);
      return tape.reshape(tape.emit('Div', [rest, spread]), input);
    };
    return [
      wants(0) ? behind() : null,
      wants(1) ? ofFactor(tape.mul(gradient, tape.reshape(normal, input)), scale) : null,
      shift !== '' && wants(2) ? ofFactor(gradient, shift) : null,
    ];
  };

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

export const layerNormalization = normalization((tape, node) => {
  const shape = tape.shapeOf(node.input[0] ?? '');
  const axis = (intAttribute(node, 'axis', -1) + shape.length) % shape.length;
  const own = tape.shapeOf(node.input[1] ?? '');
  return {
    ...{ shape, axes: range(axis, shape.length) },
    factorDims: [...new Array<number>(shape.length - own.length).fill(1), ...own],
  };
});

const perChannel = (shape: readonly number[]): number[] => shape.map((size, axis) => (axis === 1 ? size : 1));

export const instanceNormalization = normalization((tape, node) => {
  const shape = tape.shapeOf(node.input[0] ?? '');
  return { shape, axes: range(2, shape.length), factorDims: perChannel(shape) };
});

/** Of opset 21, with a factor for every channel; before it had one for every group. */
export const groupNormalization = normalization((tape, node) => {
  const shape = tape.shapeOf(node.input[0] ?? '');
  const [batch = 1, channels = 1, ...rest] = shape;
  const groups = intAttribute(node, 'num_groups', 1);
  if (tape.elements(node.input[1] ?? '') !== channels) return null;
  const size = (channels / groups) * rest.reduce((a, b) => a * b, 1);
  return { shape: [batch, groups, size], axes: [2], factorDims: perChannel(shape) };
});
