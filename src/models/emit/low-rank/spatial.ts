import { outputsFirst } from '../../graph/dense-weights.js';
import { intsAttribute, makeInts, makeNode } from '../../ir/attributes.js';
import type { LowRankEmitter } from './emitter.js';

/** k x 1, then 1 x k; each takes its axis' stride, dilation and padding. */
export const spatial: LowRankEmitter = (b, { rank, q, p }, bias, to) => {
  const { channels, input, kernel, strides, dilations, pads, node } = b.layer;
  const m = bias.length;
  const [kh = 1, kw = 1] = kernel;
  const [top = 0, left = 0, bottom = 0, right = 0] = pads ?? [];
  // auto_pad works axis by axis.
  const automatic = pads === null ? node.attribute.filter((a) => a.name === 'auto_pad') : null;
  b.check(q.length, rank * channels * kh, 'q');
  b.check(p.length, m * rank * kw, 'p');
  const conv = (part: string, inputs: string[], output: string, geometry: Record<string, number[]>) => {
    const own = Object.entries(geometry)
      .filter(([name]) => name !== 'pads' || automatic === null)
      .map(([name, values]) => makeInts(name, values));
    return makeNode(operator, b.fresh(part), inputs, [output], [...own, ...(automatic ?? [])]);
  };
  const operator = b.isTransposed ? 'ConvTranspose' : 'Conv';
  const [moreRows = 0, moreColumns = 0] = intsAttribute(node, 'output_padding') ?? [];
  const more = (values: number[]) => (values.some((value) => value > 0) ? { output_padding: values } : {});
  // Of a transposed convolution the inputs come first.
  const weight = (name: string, [outputs, inputs, ...rest]: [number, number, number, number], values: Float32Array) =>
    b.isTransposed
      ? b.tensor(name, [inputs, outputs, ...rest], outputsFirst(values, [outputs, inputs, ...rest]))
      : b.tensor(name, [outputs, inputs, ...rest], values);
  const between = b.fresh('low_rank');
  return [
    conv('low_rank_q', [input, weight('low_rank_q_weight', [rank, channels, kh, 1], q)], between, {
      kernel_shape: [kh, 1],
      strides: [strides[0] ?? 1, 1],
      dilations: [dilations[0] ?? 1, 1],
      pads: [top, 0, bottom, 0],
      ...more([moreRows, 0]),
    }),
    conv(
      'low_rank_p',
      [between, weight('low_rank_p_weight', [m, rank, 1, kw], p), b.tensor('low_rank_p_bias', [m], bias)],
      to,
      {
        kernel_shape: [1, kw],
        strides: [1, strides[1] ?? 1],
        dilations: [1, dilations[1] ?? 1],
        pads: [0, left, 0, right],
        ...more([0, moreColumns]),
      },
    ),
  ];
};
