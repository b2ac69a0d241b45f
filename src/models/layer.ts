import type { Activation } from './activation.js';
import { PLAIN_SHAPE, type LowRankShape } from './low-rank/index.js';
import type { SparsePart, SparsePattern } from './sparse/index.js';

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
  /**
   * A transposed convolution: an output sees the inputs whose taps fall on it, so that its patch has zeros where the
   * strides leave none. `sized`: its padding follows from a given size or from `auto_pad`. Absent: none.
   */
  transposed?: 'padded' | 'sized';
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
   * Where the output is only used in a sum with another branch of the same shape: `activation` then is what follows the
   * sum.
   */
  skip: { other: string; sum: string } | null;
  hasBias: boolean;
  /** Weights and bias. */
  parameters: number;
  /** Multiply-accumulates per sample. */
  macs: number;
  /** The format of the output has no way to pick channels but a convolution of ones and zeros. */
  picksByConvolution?: boolean;
  /**
   * Where several nodes read the same weights: each of them, in graph order. They are one layer, of which `positions`
   * and `macs` are the sums; names, sizes and geometry of the layer itself are those of its first use.
   */
  uses?: LayerUse[];
  /** How many different biases the uses have; absent: one. */
  biases?: number;
  /**
   * The layer that makes this one's input for nothing else, by its name, and the depthwise convolutions between: channels
   * that this one does without need not be made. Absent: others see them, too, or they are mixed on the way.
   */
  narrows?: { producer: string; depthwise: Layer[] };
  /** Why the layer must stay dense, or null when it can be compressed. */
  blocked: string | null;
}

/** One node that applies a layer's weights. */
export type LayerUse = Pick<
  Layer,
  | 'name'
  | 'strides'
  | 'dilations'
  | 'pads'
  | 'input'
  | 'output'
  | 'positions'
  | 'inputSize'
  | 'outputSize'
  | 'activation'
  | 'skip'
>;

/** The nodes that apply a layer: one, unless weights are shared. */
export const usesOf = (layer: LayerUse & Pick<Layer, 'uses'>): readonly LayerUse[] => layer.uses ?? [layer];

/** Whether something is added to the layer's response before the activation: a branch, or a bias of one use alone. */
export const isAddedTo = (layer: Pick<Layer, 'skip' | 'uses' | 'biases'>): boolean =>
  (layer.biases ?? 1) > 1 || (layer.uses ?? [layer]).some(({ skip }) => skip !== null);

/** The sizes of a layer's parts; `rank` 0 and `groups` 0 mean the dense layer. */
export interface LayerSize {
  shape: LowRankShape;
  /** Channels in front of the last convolution of the low-rank part; 0: there is none. */
  rank: number;
  /** Channels behind the first convolution of a shape that narrows both; else 0. */
  inner: number;
  /** Kept groups of the sparse part. */
  groups: number;
  /** What a group is; absent: `channel`. */
  pattern?: SparsePattern;
  /** The layer is not there: the branch that it is in is left out. */
  dropped?: true;
}

export const DENSE: LayerSize = { shape: PLAIN_SHAPE, rank: 0, inner: 0, groups: 0 };

/** A layer that is left out with its branch. */
export const DROPPED: LayerSize = { ...DENSE, dropped: true };

export function isDense({ rank, groups, dropped }: Pick<LayerSize, 'rank' | 'groups' | 'dropped'>): boolean {
  return rank === 0 && groups === 0 && dropped !== true;
}

/**
 * The low-rank part, by its convolutions from the input to the output: `basis` where there are three, `q`, `p`.
 * Row-major, an output a row, the taps of a channel side by side; the shape's convolutions have the sizes
 * (models/low-rank).
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
