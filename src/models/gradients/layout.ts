import { intAttribute, intsAttribute, makeInt, stringAttribute } from '../ir/attributes.js';
import type { Rule, Tape } from './tape.js';

/** The same values in another shape. */
export const sameValues: Rule = (tape, node, gradient) => [
  tape.reshape(gradient, tape.shapeOf(node.input[0] ?? '')),
  null,
];

export const transposed: Rule = (tape, node, gradient) => {
  const rank = tape.shapeOf(node.input[0] ?? '').length;
  const perm = intsAttribute(node, 'perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  const back = perm.map((_, axis) => perm.indexOf(axis));
  return [tape.transpose(gradient, back)];
};

export const concat: Rule = (tape, node, gradient, wants) => {
  const rank = tape.shapeOf(node.output[0] ?? '').length;
  const axis = (intAttribute(node, 'axis', 0) + rank) % rank;
  let from = 0;
  return node.input.map((name, position) => {
    const start = from;
    from += tape.shapeOf(name)[axis] ?? 0;
    return wants(position) ? tape.slice(gradient, { axes: [axis], starts: [start], ends: [from] }) : null;
  });
};

/** Of constant indices along one axis that name no element twice: the values go back where they came from. */
export const gather: Rule = (tape, node, gradient) => {
  const [x = '', indices = ''] = node.input;
  const shape = tape.shapeOf(x);
  const axis = (intAttribute(node, 'axis', 0) + shape.length) % shape.length;
  const size = shape[axis] ?? 0;
  const chosen = tape.intsOf(indices)?.map((i) => (i < 0 ? i + size : i));
  if (chosen === undefined || chosen.length === 0) return null;
  if (new Set(chosen).size !== chosen.length) return [sumOfTaken(tape, gradient, { chosen, axis, shape }), null];
  const taken = tape.reshape(gradient, shape.with(axis, chosen.length));
  // What was not taken reads the row of zeros behind the last.
  const position = new Map(chosen.map((index, i) => [index, i]));
  const back = Array.from({ length: size }, (_, i) => position.get(i) ?? chosen.length);
  const pads = [...shape.map(() => 0), ...shape.map((_, i) => (i === axis ? 1 : 0))];
  return [tape.emit('Gather', [tape.pad(taken, pads), tape.ints(back)], [makeInt('axis', axis)]), null];
};

/** What was taken several times adds up: a product with a matrix of ones and zeros. */
function sumOfTaken(
  tape: Tape,
  gradient: string,
  { chosen, axis, shape }: { chosen: readonly number[]; axis: number; shape: readonly number[] },
): string {
  const size = shape[axis] ?? 0;
  const count = (of: readonly number[]) => of.reduce((a, b) => a * b, 1);
  const taken = new Float32Array(size * chosen.length);
  chosen.forEach((index, i) => (taken[index * chosen.length + i] = 1));
  const rows = tape.reshape(gradient, [count(shape.slice(0, axis)), chosen.length, count(shape.slice(axis + 1))]);
  return tape.reshape(tape.emit('MatMul', [tape.floats([size, chosen.length], taken), rows]), shape);
}

export const slice: Rule = (tape, node, gradient) => {
  const [x = '', startsName, endsName, axesName = '', stepsName = ''] = node.input;
  const shape = tape.shapeOf(x);
  const output = tape.shapeOf(node.output[0] ?? '');
  const starts = tape.intsOf(startsName);
  const ends = tape.intsOf(endsName);
  const axes = axesName === '' ? starts?.map((_, i) => i) : tape.intsOf(axesName);
  const steps = stepsName === '' ? starts?.map(() => 1) : tape.intsOf(stepsName);
  if (starts === null || ends === null || axes == null || steps == null || steps.some((step) => step < 1)) return null;
  const before = shape.map(() => 0);
  const after = shape.map(() => 0);
  let spread = gradient;
  let current = [...output];
  for (const [i, given] of axes.entries()) {
    const axis = (given + shape.length) % shape.length;
    const size = shape[axis] ?? 0;
    const step = steps[i] ?? 1;
    const start = Math.min(Math.max((starts[i] ?? 0) < 0 ? (starts[i] ?? 0) + size : (starts[i] ?? 0), 0), size);
    if (step > 1) {
      spread = apart(tape, spread, { shape: current, axis, step });
      current = current.with(axis, (current[axis] ?? 0) * step);
    }
    before[axis] = start;
    after[axis] = size - start - (current[axis] ?? 0);
  }
  // The last value's own zeros may reach beyond the end.
  const beyond = after.flatMap((count, axis) => (count < 0 ? [axis] : []));
  const cut =
    beyond.length === 0
      ? spread
      : tape.slice(spread, {
          axes: beyond,
          starts: beyond.map(() => 0),
          ends: beyond.map((axis) => (current[axis] ?? 0) + (after[axis] ?? 0)),
        });
  return [tape.pad(cut, [...before, ...after.map((count) => Math.max(0, count))]), null, null, null, null];
};

/** Puts `step - 1` zeros behind every element along an axis. */
function apart(
  tape: Tape,
  tensor: string,
  { shape, axis, step }: { shape: readonly number[]; axis: number; step: number },
): string {
  const wide = [...shape.slice(0, axis + 1), 1, ...shape.slice(axis + 1)];
  const pads = [...wide.map(() => 0), ...wide.map((_, i) => (i === axis + 1 ? step - 1 : 0))];
  const padded = tape.pad(tape.reshape(tensor, wide), pads);
  return tape.reshape(padded, shape.with(axis, (shape[axis] ?? 0) * step));
}

export const pad: Rule = (tape, node, gradient) => {
  const shape = tape.shapeOf(node.input[0] ?? '');
  const pads = tape.intsOf(node.input[1]);
  if (pads?.length !== 2 * shape.length || stringAttribute(node, 'mode', 'constant') !== 'constant') return null;
  if (pads.some((p) => p < 0)) return null;
  const axes = shape.map((_, i) => i);
  const starts = pads.slice(0, shape.length);
  const ends = starts.map((p, i) => p + (shape[i] ?? 0));
  return [tape.slice(gradient, { axes, starts, ends }), null, null, null];
};

/** Whole copies along the axes: summed over them. */
export const tile: Rule = (tape, node, gradient) => {
  const shape = tape.shapeOf(node.input[0] ?? '');
  const repeats = tape.intsOf(node.input[1]);
  if (repeats?.length !== shape.length) return null;
  const wide = shape.flatMap((size, i) => [repeats[i] ?? 1, size]);
  return [
    tape.sum(
      tape.reshape(gradient, wide),
      shape.map((_, i) => 2 * i),
    ),
    null,
  ];
};

/** Channels in blocks of places. */
export const depthToSpace: Rule = (tape, node, gradient) => {
  const shape = tape.shapeOf(node.input[0] ?? '');
  const [batch = 1, channels = 1, height = 1, width = 1] = shape;
  const size = intAttribute(node, 'blocksize', 1);
  const places = tape.reshape(gradient, [batch, channels / size ** 2, height, size, width, size]);
  const blocksFirst = stringAttribute(node, 'mode', 'DCR') === 'DCR';
  return [tape.reshape(tape.transpose(places, blocksFirst ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4]), shape)];
};

/** Blocks of places in channels. */
export const spaceToDepth: Rule = (tape, node, gradient) => {
  const shape = tape.shapeOf(node.input[0] ?? '');
  const [batch = 1, channels = 1, height = 1, width = 1] = shape;
  const size = intAttribute(node, 'blocksize', 1);
  const blocks = tape.reshape(gradient, [batch, size, size, channels, height / size, width / size]);
  return [tape.reshape(tape.transpose(blocks, [0, 3, 4, 1, 5, 2]), shape)];
};

/** Spread over new or repeated axes: summed over them again. */
export const expand: Rule = (tape, node, gradient) => [
  tape.sumTo(gradient, tape.shapeOf(node.output[0] ?? ''), tape.shapeOf(node.input[0] ?? '')),
  null,
];

export const where: Rule = (tape, node, gradient, wants) => {
  const [condition = '', a = '', b = ''] = node.input;
  const shape = tape.shapeOf(node.output[0] ?? '');
  const zero = tape.float(0);
  const first = () => tape.sumTo(tape.emit('Where', [condition, gradient, zero]), shape, tape.shapeOf(a));
  const second = () => tape.sumTo(tape.emit('Where', [condition, zero, gradient]), shape, tape.shapeOf(b));
  return [null, wants(1) ? first() : null, wants(2) ? second() : null];
};

export const softmax: Rule = (tape, node, gradient) => {
  const [y = ''] = node.output;
  const rank = tape.shapeOf(y).length;
  const axis = (intAttribute(node, 'axis', -1) + rank) % rank;
  const mean = tape.sum(tape.mul(gradient, y), [axis], true);
  return [tape.mul(y, tape.emit('Sub', [gradient, mean]))];
};

/** Of the logarithm of a softmax. */
export const logSoftmax: Rule = (tape, node, gradient) => {
  const [y = ''] = node.output;
  const rank = tape.shapeOf(y).length;
  const axis = (intAttribute(node, 'axis', -1) + rank) % rank;
  const all = tape.sum(gradient, [axis], true);
  return [tape.emit('Sub', [gradient, tape.mul(tape.emit('Exp', [y]), all)])];
};
