import { intAttribute, intsAttribute, makeInt, makeInts, makeString } from '../ir/attributes.js';
import type { NodeProto } from '../ir/messages.js';
import { geometryOf, withoutPadding } from './convolution.js';
import type { Rule, Tape } from './tape.js';

/** The gradient goes to the places of the maxima; where windows overlap, sums of them. */
export const maxPool: Rule = (tape, node, gradient) => {
  const [x = ''] = node.input;
  if (node.output.slice(1).some((name) => name !== '')) return null;
  const shape = tape.shapeOf(x);
  const count = tape.elements(node.output[0] ?? '');
  const places = tape.reshape(tape.emitOutput('MaxPool', [x], 1, node.attribute), [count]);
  const nothing = tape.emit('Expand', [tape.float(0), tape.ints([tape.elements(x)])]);
  const scattered = tape.emit(
    'ScatterElements',
    [nothing, places, tape.reshape(gradient, [count])],
    [makeInt('axis', 0), makeString('reduction', 'add')],
  );
  return [tape.reshape(scattered, shape)];
};

export const averagePool: Rule = (tape, node, gradient) => {
  const input = tape.shapeOf(node.input[0] ?? '');
  const output = tape.shapeOf(node.output[0] ?? '');
  const kernel = intsAttribute(node, 'kernel_shape') ?? [];
  const geometry = geometryOf(node, kernel, input.slice(2));
  const { strides, dilations, begin } = geometry;
  if (intAttribute(node, 'ceil_mode', 0) !== 0 || dilations.some((d) => d !== 1)) return null;
  const counts = windowSizes(input.slice(2), output.slice(2), { kernel, strides, begin });
  const padded = intAttribute(node, 'count_include_pad', 0) !== 0;
  const area = kernel.reduce((a, b) => a * b, 1);
  const shares = padded ? counts.map(() => 1 / area) : counts.map((n) => 1 / n);
  const weighted = tape.mul(gradient, tape.floats([1, 1, ...output.slice(2)], shares));
  const [batch = 1, channels = 1] = output;
  // Every channel by itself: channels are put beside the batch.
  const flat = tape.reshape(weighted, [batch * channels, 1, ...output.slice(2)]);
  const ones = tape.floats([1, 1, ...kernel], new Float32Array(area).fill(1));
  const zeros = [...kernel, ...kernel].map(() => 0);
  const spread = tape.emit(
    'ConvTranspose',
    [flat, ones],
    [makeInts('kernel_shape', kernel), makeInts('strides', strides), makeInts('pads', zeros)],
  );
  return [tape.reshape(withoutPadding(tape, spread, { geometry, input, output }), input)];
};

/** Elements of the input under each window. */
function windowSizes(
  input: readonly number[],
  output: readonly number[],
  { kernel, strides, begin }: { kernel: readonly number[]; strides: readonly number[]; begin: readonly number[] },
): Float32Array {
  let sizes = [1];
  for (const [axis, places] of output.entries()) {
    const along = Array.from({ length: places }, (_, i) => {
      const start = i * (strides[axis] ?? 1) - (begin[axis] ?? 0);
      return Math.min(start + (kernel[axis] ?? 1), input[axis] ?? 0) - Math.max(start, 0);
    });
    sizes = sizes.flatMap((size) => along.map((n) => size * n));
  }
  return Float32Array.from(sizes, (size) => Math.max(1, size));
}

/** A mean or sum over axes, spread over them again. */
const spread =
  (axesOf: (tape: Tape, node: NodeProto, rank: number) => number[] | null, mean: boolean): Rule =>
  (tape, node, gradient) => {
    const [x = ''] = node.input;
    const shape = tape.shapeOf(x);
    const axes = axesOf(tape, node, shape.length)?.map((axis) => (axis < 0 ? axis + shape.length : axis));
    if (axes === undefined) return null;
    const count = axes.reduce((product, axis) => product * (shape[axis] ?? 1), 1);
    const kept = shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
    const share = tape.scaled(tape.reshape(gradient, kept), mean ? 1 / count : 1);
    return [tape.emit('Expand', [share, tape.ints(shape)]), null];
  };

const spatialAxes = (_tape: Tape, _node: NodeProto, rank: number): number[] =>
  Array.from({ length: rank - 2 }, (_, i) => i + 2);

/** An attribute, since opset 13 or 18 an input; none: all axes, or none of them. */
function reducedAxes(tape: Tape, node: NodeProto, rank: number): number[] | null {
  const attribute = intsAttribute(node, 'axes');
  if (attribute !== null) return attribute;
  const name = node.input[1] ?? '';
  if (name !== '') return tape.intsOf(name);
  if (intAttribute(node, 'noop_with_empty_axes', 0) !== 0) return null;
  return Array.from({ length: rank }, (_, i) => i);
}

export const globalAveragePool = spread(spatialAxes, true);
export const reduceMean = spread(reducedAxes, true);
export const reduceSum = spread(reducedAxes, false);

/** Every place that holds the maximum gets the gradient. */
export const globalMaxPool: Rule = (tape, node, gradient) => {
  const isLargest = tape.emit('Equal', [node.input[0] ?? '', node.output[0] ?? '']);
  return [tape.gated(isLargest, gradient)];
};
