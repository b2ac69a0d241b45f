import type { Activation } from './activation.js';

export type LayerOp = 'Conv' | 'Gemm' | 'MatMul';

/**
 * One weighted layer of a network, as the compressor sees it: a linear map from a patch of `d` inputs to `m` outputs,
 * applied at `positions` places per sample, then an activation.
 */
export interface Layer {
  /** Unique in the network; the ONNX node's name, or its first output's name. */
  name: string;
  op: LayerOp;
  /** Output channels. */
  m: number;
  /** Inputs of one patch: channels * prod(kernel). */
  d: number;
  /** Input channels of one group. */
  channels: number;
  /** Spatial kernel, [] for fully connected layers. */
  kernel: number[];
  strides: number[];
  dilations: number[];
  /** ONNX order: begin of every axis, then end of every axis. */
  pads: number[];
  group: number;
  /** Names of the tensors in the (inference-ready) graph. */
  input: string;
  output: string;
  /** Places the patch is applied at, per sample (1 for fully connected on [batch, features]). */
  positions: number;
  /** Spatial size of the input and of the output, per axis of the kernel; [] for fully connected layers. */
  inputSize: number[];
  outputSize: number[];
  activation: Activation;
  /**
   * Where the output is only used in a sum with another branch of the same shape: `activation` then is what follows the sum.
   */
  skip: { other: string; sum: string } | null;
  hasBias: boolean;
  /** Weights and bias. */
  parameters: number;
  /** Multiply-accumulates per sample. */
  macs: number;
  /** Why the layer must stay dense, or null when it can be compressed. */
  blocked: string | null;
}

/**
 * How the low-rank part of a layer is laid out as a chain of convolutions:
 * - `channel`: k x k to `rank` channels, then 1x1 to the m outputs. Fully connected layers have this one.
 * - `tucker`: 1x1 to `inner` channels, k x k to `rank` channels, then 1x1 (Tucker-2; Kim et al. 2016, arXiv 1511.06530).
 * - `spatial`: k x 1 to `rank` channels, then 1 x k (Jaderberg et al. 2014, arXiv 1405.3866).
 */
export const LOW_RANK_SHAPES = ['channel', 'tucker', 'spatial'] as const;
export type LowRankShape = (typeof LOW_RANK_SHAPES)[number];

/** The sizes of a layer's parts; `rank` 0 and `groups` 0 mean the dense layer. */
export interface LayerSize {
  shape: LowRankShape;
  /** Channels in front of the last convolution of the low-rank part; 0: there is none. */
  rank: number;
  /** Channels behind the first convolution, for `tucker`; else 0. */
  inner: number;
  /** Kept input channels of the sparse part. */
  groups: number;
}

export const DENSE: LayerSize = { shape: 'channel', rank: 0, inner: 0, groups: 0 };

export function isDense({ rank, groups }: Pick<LayerSize, 'rank' | 'groups'>): boolean {
  return rank === 0 && groups === 0;
}

/**
 * The low-rank part, by its convolutions from the input to the output. All row-major, the taps of a channel side by side.
 * - `channel`: `q` [rank, channels * taps], `p` [m, rank]
 * - `tucker`: `basis` [inner, channels], `q` [rank, inner * taps], `p` [m, rank]
 * - `spatial`: `q` [rank, channels * kh], `p` [m, rank * kw]
 */
export interface LowRank {
  shape: LowRankShape;
  rank: number;
  inner: number;
  basis: Float32Array | null;
  q: Float32Array;
  p: Float32Array;
}

/** What replaces a layer: `L + S` on the same input. Both null means that the layer stays as it is. */
export interface Factors {
  lowRank: LowRank | null;
  /** S: kept input channels (ascending) and their weights [m, channels.length * prod(kernel)], row-major. */
  sparse: { channels: number[]; weights: Float32Array } | null;
  /** [m] */
  bias: Float32Array;
}

/** Shapes of the low-rank part that make sense for a layer. */
export function shapesOf(layer: Pick<Layer, 'kernel' | 'd' | 'channels'>): LowRankShape[] {
  const taps = layer.d / layer.channels;
  if (taps === 1) return ['channel'];
  return layer.kernel.length === 2 && layer.kernel.every((k) => k > 1)
    ? ['channel', 'tucker', 'spatial']
    : ['channel', 'tucker'];
}

/** Parameters and MACs of a layer at given sizes. */
export function factoredCost(layer: Layer, size: LayerSize): { parameters: number; macs: number } {
  if (isDense(size)) return { parameters: layer.parameters, macs: layer.macs };
  const { m, d, channels, kernel, positions } = layer;
  const { shape, rank, inner, groups } = size;
  const taps = d / channels;
  const sparse = groups * taps * m;
  const count = (axes: readonly number[]) => axes.reduce((a, b) => a * b, 1);
  const outside = { parameters: sparse + m, macs: sparse * positions };
  const plus = (...parts: { weights: number; places: number }[]) =>
    parts.reduce(
      (sum, { weights, places }) => ({
        parameters: sum.parameters + weights,
        macs: sum.macs + Math.round(weights * places),
      }),
      outside,
    );
  switch (shape) {
    case 'channel':
      return plus({ weights: rank * (m + d), places: positions });
    case 'tucker':
      return plus(
        { weights: inner * channels, places: count(layer.inputSize) },
        { weights: rank * (inner * taps + m), places: positions },
      );
    case 'spatial': {
      // The first convolution has the output's rows and still the input's columns.
      const places = (layer.outputSize[0] ?? 1) * (layer.inputSize[1] ?? 1);
      const [kh = 1, kw = 1] = kernel;
      return plus({ weights: rank * channels * kh, places }, { weights: rank * m * kw, places: positions });
    }
  }
}
