import type { StoredTensor } from '../io/weights.js';

/** How the file keeps the numbers of a tensor, where it keeps less than all of them. */
export type Coding = { type: 'float16' } | { type: 'uint8'; scale: number; min: number };

export interface Weights extends StoredTensor {
  coding: Coding | null;
}

/** A tensor of what is written: the name of a node or of a layer, with the number of the output. */
export type Ref = string;

/** An activation that stands in the layer before it. */
export type Fused = 'linear' | 'relu' | 'relu6';

export interface ConvolutionOf {
  /** [...spatial, inputs, outputs]; depthwise: [...spatial, inputs, multiplier]; transposed: [...spatial, outputs, inputs]. */
  kernel: Weights;
  bias: Weights | null;
  strides: number[];
  dilations: number[];
  padding: 'same' | 'valid';
  kind: 'plain' | 'depthwise' | 'transposed';
  activation: Fused;
}

export type Shape = readonly (number | null)[];

/**
 * What networks are written with: operators of a graph, or layers. Channels are last. A target throws an InputError that names what it
 * has no form for.
 */
export interface Target {
  input(name: string, shape: Shape, type: StoredTensor['type']): Ref;
  convolution(name: string, x: Ref, of: ConvolutionOf, shape: Shape): Ref;
  pool(
    name: string,
    x: Ref,
    of: { kind: 'max' | 'average'; size: number[]; strides: number[]; padding: 'same' | 'valid' },
  ): Ref;
  /** Over the last axis. */
  dense(name: string, x: Ref, of: { kernel: Weights; bias: Weights | null; rank: number; activation: Fused }): Ref;
  product(name: string, x: Ref, y: Ref | Weights): Ref;
  normalization(
    name: string,
    x: Ref,
    of: { scale: Weights; shift: Weights; mean: Weights; variance: Weights; epsilon: number },
  ): Ref;
  /** Called as TensorFlow calls the operator; with its number, where it has one. */
  unary(name: string, operator: string, x: Ref, alpha?: number): Ref;
  clip(name: string, x: Ref, low: number | null, high: number | null): Ref;
  prelu(name: string, x: Ref, slope: Weights, rank: number): Ref;
  binary(name: string, operator: string, inputs: [Ref | Weights, Ref | Weights], rank: number): Ref;
  concat(name: string, inputs: Ref[], axis: number): Ref;
  transpose(name: string, x: Ref, perm: number[]): Ref;
  reshape(name: string, x: Ref, shape: Shape): Ref;
  reduce(name: string, operator: string, x: Ref, of: { axes: number[]; keep: boolean; shape: Shape }): Ref;
  pad(name: string, x: Ref, of: { pads: [number, number][]; mode: string; value: number }): Ref;
  slice(name: string, x: Ref, of: { begin: number[]; end: (number | null)[]; step: number[] }): Ref;
  resize(
    name: string,
    x: Ref,
    of: {
      mode: 'nearest' | 'linear';
      sizes: Shape;
      scales: number[] | null;
      alignCorners: boolean;
      halfPixelCenters: boolean;
    },
  ): Ref;
  gather(name: string, x: Ref, of: { indices: Weights; axis: number; shape: Shape }): Ref;
  split(name: string, x: Ref, of: { axis: number; sizes: number[] }): Ref[];
  /** Anything else that only a graph has. */
  operator(name: string, operator: string, inputs: (Ref | Weights)[], attributes: Record<string, object>): Ref;
  output(name: string, x: Ref, type: StoredTensor['type']): void;
}
