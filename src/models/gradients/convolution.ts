import { intAttribute, intsAttribute, makeInt, makeInts, stringAttribute } from '../ir/attributes.js';
import { automaticPads } from '../graph/auto-pad.js';
import type { NodeProto } from '../ir/messages.js';
import type { Rule, Tape } from './tape.js';

interface Geometry {
  kernel: number[];
  strides: number[];
  dilations: number[];
  begin: number[];
  end: number[];
  group: number;
}

/** A window's geometry with auto_pad worked out for the input's size. */
export function geometryOf(node: NodeProto, kernel: readonly number[], size: readonly number[]): Geometry {
  const ones = kernel.map(() => 1);
  const strides = intsAttribute(node, 'strides') ?? ones;
  const dilations = intsAttribute(node, 'dilations') ?? ones;
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET');
  const given = intsAttribute(node, 'pads') ?? [...kernel, ...kernel].map(() => 0);
  const pads = autoPad === 'NOTSET' ? given : automaticPads({ autoPad, kernel, strides, dilations }, size);
  const padding = { begin: pads.slice(0, kernel.length), end: pads.slice(kernel.length) };
  return { kernel: [...kernel], strides, dilations, ...padding, group: intAttribute(node, 'group', 1) };
}

/**
 * Convolution, any number of spatial axes. The input's gradient is the transposed convolution, for stride 1 written as
 * a convolution with the turned kernel, which runtimes do faster. The kernel's is, for every tap, the product of the
 * output's gradient with the input shifted by that tap, group by group.
 */
export const convolution: Rule = (tape, node, gradient, wants) => {
  const [x = '', w = '', b = ''] = node.input;
  const weights = tape.shapeOf(w);
  const input = tape.shapeOf(x);
  const output = tape.shapeOf(node.output[0] ?? '');
  const geometry = geometryOf(node, weights.slice(2), input.slice(2));
  const axes = output.map((_, axis) => axis).filter((axis) => axis !== 1);
  return [
    wants(0) ? inputGradient(tape, gradient, { w, input, output, geometry }) : null,
    wants(1) ? kernelGradient(tape, gradient, { x, weights, output, geometry }) : null,
    b !== '' && wants(2) ? tape.sum(gradient, axes) : null,
  ];
};

function inputGradient(
  tape: Tape,
  gradient: string,
  {
    w,
    input,
    output,
    geometry,
  }: { w: string; input: readonly number[]; output: readonly number[]; geometry: Geometry },
): string {
  const { kernel, strides, dilations, begin, end, group } = geometry;
  const full = kernel.map((k, i) => (k - 1) * (dilations[i] ?? 1));
  const isPlain = strides.every((s) => s === 1);
  const pads = [...full.map((f, i) => f - (begin[i] ?? 0)), ...full.map((f, i) => f - (end[i] ?? 0))];
  if (isPlain && pads.every((p) => p >= 0)) {
    const turned = turnedKernel(tape, w, { group, kernel });
    const axes = kernel.flatMap((k, i) => (k > 1 ? [i + 2] : []));
    const flipped =
      axes.length === 0
        ? turned
        : tape.slice(turned, {
            axes,
            starts: axes.map(() => -1),
            ends: axes.map(() => -Number.MAX_SAFE_INTEGER),
            steps: axes.map(() => -1),
          });
    return tape.emit(
      'Conv',
      [gradient, flipped],
      [
        makeInts('kernel_shape', kernel),
        makeInts('pads', pads),
        makeInts('dilations', dilations),
        makeInt('group', group),
      ],
    );
  }
  const back = tape.emit(
    'ConvTranspose',
    [gradient, w],
    [
      makeInts('kernel_shape', kernel),
      makeInts('strides', strides),
      makeInts('dilations', dilations),
      makeInts(
        'pads',
        [...kernel, ...kernel].map(() => 0),
      ),
      makeInt('group', group),
    ],
  );
  return withoutPadding(tape, back, { geometry, input, output });
}

/** Inputs and outputs of a kernel changed places, group by group: [m, channels of a group, ...] as [channels, m of a group, ...]. */
function turnedKernel(tape: Tape, w: string, { group, kernel }: Pick<Geometry, 'group' | 'kernel'>): string {
  const [m = 0, channels = 0] = tape.shapeOf(w);
  if (m === group && channels === 1) return w;
  const axes = kernel.map((_, i) => i + 2);
  if (group === 1) return tape.transpose(w, [1, 0, ...axes]);
  const apart = tape.reshape(w, [group, m / group, channels, ...kernel]);
  const turned = tape.transpose(apart, [0, 2, 1, ...axes.map((axis) => axis + 1)]);
  return tape.reshape(turned, [group * channels, m / group, ...kernel]);
}

/**
 * What windows spread over their padded input, cut to the input: zeros for what the last, incomplete stride did not
 * look at, and no padding.
 * @param spread batch and channels as in `input`, then all places that the windows of `output` reach
 */
export function withoutPadding(
  tape: Tape,
  spread: string,
  {
    geometry: { kernel, strides, dilations, begin, end },
    input,
    output,
  }: { geometry: Geometry; input: readonly number[]; output: readonly number[] },
): string {
  const rest = kernel.map((k, i) => {
    const reached = ((output[i + 2] ?? 0) - 1) * (strides[i] ?? 1) + (k - 1) * (dilations[i] ?? 1) + 1;
    return (input[i + 2] ?? 0) + (begin[i] ?? 0) + (end[i] ?? 0) - reached;
  });
  const widened = tape.pad(spread, [0, 0, ...kernel.map(() => 0), 0, 0, ...rest]);
  if (begin.every((p) => p === 0) && end.every((p) => p === 0)) return widened;
  const axes = kernel.map((_, i) => i + 2);
  const ends = begin.map((p, i) => p + (input[i + 2] ?? 0));
  return tape.slice(widened, { axes, starts: begin, ends });
}

function kernelGradient(
  tape: Tape,
  gradient: string,
  {
    x,
    weights,
    output,
    geometry: { kernel, strides, dilations, begin, end, group },
  }: { x: string; weights: readonly number[]; output: readonly number[]; geometry: Geometry },
): string {
  const [m = 0, channels = 0] = weights;
  const places = (output[0] ?? 0) * output.slice(2).reduce((a, b) => a * b, 1);
  const spatial = kernel.map((_, i) => i + 2);
  const padded = tape.pad(x, [0, 0, ...begin, 0, 0, ...end]);
  const columns = tape.transpose(padded, [1, 0, ...spatial]);
  const rows = tape.reshape(tape.transpose(gradient, [1, 0, ...spatial]), [m, places]);
  const isWhole = kernel.every((k) => k === 1) && strides.every((s) => s === 1);
  const taps = kernel.reduce((a, b) => a * b, 1);
  const parts = Array.from({ length: taps }, (_, tap) => {
    const starts = tapAt(tap, kernel).map((t, i) => t * (dilations[i] ?? 1));
    const ends = starts.map((s, i) => s + ((output[i + 2] ?? 1) - 1) * (strides[i] ?? 1) + 1);
    const seen = isWhole ? columns : tape.slice(columns, { axes: spatial, starts, ends, steps: strides });
    const product = rowsByRows(tape, rows, seen, { group, m, channels, places });
    return taps === 1 ? product : tape.reshape(product, [m, channels, 1]);
  });
  const all = taps === 1 ? (parts[0] ?? '') : tape.emit('Concat', parts, [makeInt('axis', 2)]);
  return tape.reshape(all, weights);
}

/** The products of every row of `a` with the rows of `b` in its group: [m, channels]. */
function rowsByRows(
  tape: Tape,
  a: string,
  b: string,
  { group, m, channels, places }: { group: number; m: number; channels: number; places: number },
): string {
  if (group === 1) return tape.emit('Gemm', [a, tape.reshape(b, [channels, places])], [makeInt('transB', 1)]);
  const right = tape.transpose(tape.reshape(b, [group, channels, places]), [0, 2, 1]);
  const product = tape.emit('MatMul', [tape.reshape(a, [group, m / group, places]), right]);
  return tape.reshape(product, [m, channels]);
}

/** Position of a tap within the kernel. */
function tapAt(tap: number, kernel: readonly number[]): number[] {
  const at: number[] = [];
  for (let i = kernel.length - 1, rest = tap; i >= 0; i--) {
    const size = kernel[i] ?? 1;
    at.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return at;
}

/**
 * Transposed convolution: the adjoint of the convolution with the same weights, which is therefore the gradient of the
 * input. The kernel's is that of this convolution, with the gradient as its input.
 */
export const transposedConvolution: Rule = (tape, node, gradient, wants) => {
  const [x = '', w = '', b = ''] = node.input;
  const weights = tape.shapeOf(w);
  const input = tape.shapeOf(x);
  const output = tape.shapeOf(node.output[0] ?? '');
  const geometry = spreadingGeometry(node, { kernel: weights.slice(2), input, output });
  if (geometry === null) return null;
  const { kernel, strides, dilations, begin, end, group } = geometry;
  const axes = output.map((_, axis) => axis).filter((axis) => axis !== 1);
  const behind = () =>
    tape.emit(
      'Conv',
      [gradient, w],
      [
        makeInts('kernel_shape', kernel),
        makeInts('strides', strides),
        makeInts('dilations', dilations),
        makeInts('pads', [...begin, ...end]),
        makeInt('group', group),
      ],
    );
  const ofKernel = () => kernelGradient(tape, x, { x: gradient, weights, output: input, geometry });
  return [
    wants(0) ? behind() : null,
    wants(1) ? ofKernel() : null,
    b !== '' && wants(2) ? tape.sum(gradient, axes) : null,
  ];
};

/** Where the padding is not given, it follows from the sizes; null where the output is wider than all windows reach. */
function spreadingGeometry(
  node: NodeProto,
  { kernel, input, output }: { kernel: readonly number[]; input: readonly number[]; output: readonly number[] },
): Geometry | null {
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET');
  const given = geometryOf(
    { ...node, attribute: node.attribute.filter(({ name }) => name !== 'auto_pad') },
    kernel,
    [],
  );
  if (autoPad === 'NOTSET' && intsAttribute(node, 'output_shape') === null) return given;
  if (autoPad === 'VALID') return { ...given, begin: kernel.map(() => 0), end: kernel.map(() => 0) };
  const extra = intsAttribute(node, 'output_padding') ?? kernel.map(() => 0);
  const total = kernel.map((k, i) => {
    const reach = ((input[i + 2] ?? 1) - 1) * (given.strides[i] ?? 1) + (k - 1) * (given.dilations[i] ?? 1) + 1;
    return reach + (extra[i] ?? 0) - (output[i + 2] ?? 0);
  });
  if (total.some((count) => count < 0)) return null;
  const small = total.map((count) => Math.floor(count / 2));
  const large = total.map((count, i) => count - (small[i] ?? 0));
  return { ...given, ...(autoPad === 'SAME_UPPER' ? { begin: small, end: large } : { begin: large, end: small }) };
}
