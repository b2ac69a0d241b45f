import type { Activation } from './activation.js';
import { sparseNonzeros, sparseParts, type SparsePart, type SparsePattern } from './sparse.js';

/** Recurrent layers are counted, never compressed. */
export type LayerOp = 'Conv' | 'Gemm' | 'MatMul' | 'LSTM' | 'GRU' | 'RNN';

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
  /** Kept groups of the sparse part. */
  groups: number;
  /** What a group is; absent: `channel`. */
  pattern?: SparsePattern;
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
  /** S, row-major. Rows of the low-rank part's `p` that belong to a kept `filter` are zero. */
  sparse: SparsePart | null;
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

export interface LayerCost {
  /** Weights and biases as the file holds them. */
  parameters: number;
  /** Of these, all but the zeros that a sparse pattern makes. */
  nonzeros: number;
  macs: number;
  /**
   * What the layer costs a runtime that computes channels in blocks and has to write every feature map, in multiply-accumulates.
   * An estimate that is the same on every machine.
   */
  work: number;
}

/** Channels that a vectorised runtime computes together (16 floats of AVX-512). */
const BLOCK = 16;
/** Multiply-accumulates in the time that one value of a feature map takes: 20 to 50, measured on two threads. */
const VALUE_WORK = 32;

/** One convolution of a layer, at `places` places. */
export interface Part {
  outputs: number;
  /** Inputs of one output. */
  channels: number;
  taps: number;
  places: number;
}

/** What a layer costs at given sizes. */
export function factoredCost(layer: Layer, size: LayerSize): LayerCost {
  const { m, d, channels, positions } = layer;
  if (isDense(size)) {
    const { work } = costOf([{ outputs: m, channels, taps: d / channels, places: positions }]);
    return { parameters: layer.parameters, nonzeros: layer.parameters, macs: layer.macs, work };
  }
  const { rank, groups, pattern = 'channel' } = size;
  const sparse = sparseParts(layer, pattern, groups, rank === 0);
  const sum = costOf([...sparse, ...lowRankParts(layer, size)]);
  const zeros = costOf(sparse).parameters - sparseNonzeros(layer, pattern, groups, rank === 0);
  const parameters = sum.parameters + m;
  return { ...sum, parameters, nonzeros: parameters - zeros };
}

function lowRankParts(layer: Layer, { shape, rank, inner, groups, pattern }: LayerSize): Part[] {
  const { d, channels, kernel, positions } = layer;
  const taps = d / channels;
  // Whole rows of the sparse part need nothing beside them.
  const m = pattern === 'filter' ? layer.m - groups : layer.m;
  const parts: Part[] = [];
  if (rank === 0) return parts;
  switch (shape) {
    case 'channel':
      parts.push({ outputs: rank, channels, taps, places: positions });
      break;
    case 'tucker': {
      const places = layer.inputSize.reduce((a, b) => a * b, 1);
      parts.push({ outputs: inner, channels, taps: 1, places });
      parts.push({ outputs: rank, channels: inner, taps, places: positions });
      break;
    }
    case 'spatial': {
      const [kh = 1, kw = 1] = kernel;
      // The first convolution has the output's rows and still the input's columns.
      const places = (layer.outputSize[0] ?? 1) * (layer.inputSize[1] ?? 1);
      parts.push({ outputs: rank, channels, taps: kh, places });
      parts.push({ outputs: m, channels: rank, taps: kw, places: positions });
      return parts;
    }
  }
  parts.push({ outputs: m, channels: rank, taps: 1, places: positions });
  return parts;
}

function costOf(parts: readonly Part[]): Omit<LayerCost, 'nonzeros'> {
  const cost = { parameters: 0, macs: 0, work: 0 };
  for (const { outputs, channels, taps, places } of parts) {
    const weights = outputs * channels * taps;
    cost.parameters += weights;
    cost.macs += weights * places;
    cost.work += (blocked(outputs) * blocked(channels) * taps + VALUE_WORK * outputs) * places;
  }
  return cost;
}

/** Few channels, as those of an image, have a way of their own in the runtime. */
const blocked = (channels: number): number => (channels <= BLOCK / 2 ? channels : Math.ceil(channels / BLOCK) * BLOCK);
