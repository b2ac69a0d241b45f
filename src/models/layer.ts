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

/** What replaces a layer: `L + S` on the same input. Both null means that the layer stays as it is. */
export interface Factors {
  /** L = P Q: `q` [rank, d] (a k x k convolution to `rank` channels), `p` [m, rank] (a 1x1 convolution). Row-major. */
  lowRank: { rank: number; p: Float32Array; q: Float32Array } | null;
  /** S: kept input channels (ascending) and their weights [m, channels.length * prod(kernel)], row-major. */
  sparse: { channels: number[]; weights: Float32Array } | null;
  /** [m] */
  bias: Float32Array;
}

/** Parameters and MACs of a layer once `rank` and `groups` are chosen; 0 and 0 mean the dense layer. */
export function factoredCost(layer: Layer, rank: number, groups: number): { parameters: number; macs: number } {
  if (rank === 0 && groups === 0) return { parameters: layer.parameters, macs: layer.macs };
  const taps = layer.d / layer.channels;
  const weights = rank * (layer.m + layer.d) + groups * taps * layer.m;
  return { parameters: weights + layer.m, macs: weights * layer.positions };
}
