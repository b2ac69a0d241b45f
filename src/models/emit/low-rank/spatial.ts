import { outputsFirst } from '../../graph/dense-weights.js';
import { intsAttribute, makeInts, makeNode } from '../../ir/attributes.js';
import type { LowRankEmitter } from './emitter.js';

/** Along the first axis of the kernel, then along the others; each takes its axes' strides, dilations and padding. */
export const spatial: LowRankEmitter = (b, { rank, q, p }, bias, to) => {
  const { channels, input, kernel, strides, dilations, pads, node } = b.layer;
  const m = bias.length;
  const first = (values: readonly number[], other: number): number[] =>
    kernel.map((_, axis) => (axis === 0 ? (values[0] ?? other) : other));
  const others = (values: readonly number[], other: number): number[] =>
    kernel.map((_, axis) => (axis === 0 ? other : (values[axis] ?? other)));
  const [begin, end] = [pads?.slice(0, kernel.length) ?? [], pads?.slice(kernel.length) ?? []];
  const [along, across] = [first(kernel, 1), others(kernel, 1)];
  // auto_pad works axis by axis.
  const automatic = pads === null ? node.attribute.filter((a) => a.name === 'auto_pad') : null;
  b.check(q.length, rank * channels * product(along), 'q');
  b.check(p.length, m * rank * product(across), 'p');
  const conv = (part: string, inputs: string[], output: string, geometry: Record<string, number[]>) => {
    const own = Object.entries(geometry)
      .filter(([name]) => name !== 'pads' || automatic === null)
      .map(([name, values]) => makeInts(name, values));
    return makeNode(operator, b.fresh(part), inputs, [output], [...own, ...(automatic ?? [])]);
  };
  const operator = b.isTransposed ? 'ConvTranspose' : 'Conv';
  const outside = intsAttribute(node, 'output_padding') ?? [];
  const more = (values: number[]) => (values.some((value) => value > 0) ? { output_padding: values } : {});
  // Of a transposed convolution the inputs come first.
  const weight = (name: string, [outputs, inputs]: [number, number], taps: number[], values: Float32Array) =>
    b.isTransposed
      ? b.tensor(name, [inputs, outputs, ...taps], outputsFirst(values, [outputs, inputs, ...taps]))
      : b.tensor(name, [outputs, inputs, ...taps], values);
  const between = b.fresh('low_rank');
  return [
    conv('low_rank_q', [input, weight('low_rank_q_weight', [rank, channels], along, q)], between, {
      kernel_shape: along,
      strides: first(strides, 1),
      dilations: first(dilations, 1),
      pads: [...first(begin, 0), ...first(end, 0)],
      ...more(first(outside, 0)),
    }),
    conv(
      'low_rank_p',
      [between, weight('low_rank_p_weight', [m, rank], across, p), b.tensor('low_rank_p_bias', [m], bias)],
      to,
      {
        kernel_shape: across,
        strides: others(strides, 1),
        dilations: others(dilations, 1),
        pads: [...others(begin, 0), ...others(end, 0)],
        ...more(others(outside, 0)),
      },
    ),
  ];
};

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
