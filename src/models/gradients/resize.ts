import { floatAttribute, hasAttribute, intAttribute, stringAttribute } from '../ir/attributes.js';
import type { NodeProto } from '../ir/messages.js';
import { isOperator } from '../ir/operator.js';
import type { Rule, Tape } from './tape.js';

/** One axis that changes its size: each element of the output is a weighted sum of elements of the input. */
interface Along {
  axis: number;
  from: number;
  to: number;
  /** [to, from] */
  weights: Float32Array;
}

/** Resizing is linear, one axis after the other: the gradient goes through the turned matrices. */
export const resize: Rule = (tape, node, gradient) => {
  const input = tape.shapeOf(node.input[0] ?? '');
  const output = tape.shapeOf(node.output[0] ?? '');
  const repeated = repetitions(tape, node, gradient, { input, output });
  if (repeated !== null) return [repeated, null, null, null];
  const given = tape.floatsOf(node.input[isOperator(node, 'Upsample') ? 1 : 2]);
  let back = gradient;
  for (const [axis, to] of output.entries()) {
    const from = input[axis] ?? 1;
    if (from === to) continue;
    const scale = given?.length === output.length ? (given[axis] ?? to / from) : to / from;
    const weights = matrix(node, { from, to, scale });
    if (weights === null) return null;
    back = through(tape, back, { axis, from, to, weights }, output.length);
  }
  return [back, null, null, null];
};

/** Every element a whole number of times, which needs no matrix. */
function repetitions(
  tape: Tape,
  node: NodeProto,
  gradient: string,
  { input, output }: { input: readonly number[]; output: readonly number[] },
): string | null {
  const factors = output.map((size, i) => size / (input[i] ?? 1));
  const rounding = stringAttribute(node, 'nearest_mode', 'round_prefer_floor');
  const place = stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel');
  const repeats = (place === 'asymmetric' && rounding === 'floor') || (place === 'half_pixel' && rounding !== 'ceil');
  if (isOperator(node, 'Resize') && !repeats) return null;
  if (stringAttribute(node, 'mode', 'nearest') !== 'nearest') return null;
  if (factors.some((f) => !Number.isInteger(f) || f < 1)) return null;
  const wide = input.flatMap((size, i) => [size, factors[i] ?? 1]);
  const axes = input.map((_, i) => 2 * i + 1);
  return tape.sum(tape.reshape(gradient, wide), axes);
}

function through(tape: Tape, gradient: string, { axis, from, to, weights }: Along, rank: number): string {
  const last = rank - 1;
  const perm = Array.from({ length: rank }, (_, i) => (i === axis ? last : i === last ? axis : i));
  const turned = axis === last ? gradient : tape.transpose(gradient, perm);
  const product = tape.emit('MatMul', [turned, tape.floats([to, from], weights)]);
  return axis === last ? product : tape.transpose(product, perm);
}

/** What one axis is multiplied with, or null for what is not covered. */
function matrix(
  node: NodeProto,
  { from, to, scale }: { from: number; to: number; scale: number },
): Float32Array | null {
  const upsample = isOperator(node, 'Upsample');
  const place = upsample ? 'asymmetric' : stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel');
  const mode = stringAttribute(node, 'mode', 'nearest');
  const at = coordinate(place, { from, to, scale });
  if (at === null || intAttribute(node, 'antialias', 0) !== 0 || intAttribute(node, 'exclude_outside', 0) !== 0)
    return null;
  if (hasAttribute(node, 'axes') || hasAttribute(node, 'keep_aspect_ratio_policy')) return null;
  const rounding = upsample ? 'floor' : stringAttribute(node, 'nearest_mode', 'round_prefer_floor');
  const weights = new Float32Array(to * from);
  const give = (row: number, column: number, weight: number) => {
    const place = row * from + Math.min(Math.max(column, 0), from - 1);
    weights[place] = weights[place] + weight;
  };
  for (let i = 0; i < to; i++) {
    const x = at(i);
    if (mode === 'nearest') give(i, rounded(x, rounding), 1);
    else if (mode === 'linear')
      linear(Math.min(Math.max(x, 0), from - 1), (column, weight) => {
        give(i, column, weight);
      });
    else if (mode === 'cubic')
      cubic(x, floatAttribute(node, 'cubic_coeff_a', -0.75), (column, weight) => {
        give(i, column, weight);
      });
    else return null;
  }
  return weights;
}

/** Where in the input an element of the output lies. */
function coordinate(
  place: string,
  { from, to, scale }: { from: number; to: number; scale: number },
): ((i: number) => number) | null {
  switch (place) {
    case 'half_pixel':
      return (i) => (i + 0.5) / scale - 0.5;
    case 'pytorch_half_pixel':
      return (i) => (to > 1 ? (i + 0.5) / scale - 0.5 : 0);
    case 'align_corners':
      return (i) => (to > 1 ? (i * (from - 1)) / (to - 1) : 0);
    case 'asymmetric':
      return (i) => i / scale;
    default:
      return null;
  }
}

function rounded(x: number, mode: string): number {
  if (mode === 'floor') return Math.floor(x);
  if (mode === 'ceil') return Math.ceil(x);
  return mode === 'round_prefer_ceil' ? Math.floor(x + 0.5) : Math.ceil(x - 0.5);
}

type Give = (column: number, weight: number) => void;

function linear(x: number, give: Give): void {
  const low = Math.floor(x);
  give(low, 1 - (x - low));
  give(low + 1, x - low);
}

/** Keys' kernel. */
function cubic(x: number, a: number, give: Give): void {
  const low = Math.floor(x);
  for (let column = low - 1; column <= low + 2; column++) {
    const t = Math.abs(x - column);
    const near = ((a + 2) * t - (a + 3)) * t * t + 1;
    const far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
    give(column, t <= 1 ? near : far);
  }
}
