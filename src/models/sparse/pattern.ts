import type { Part } from '../cost.js';
import type { Layer } from '../layer.js';
import { inputPlaces, layerPlaces, placesBefore } from '../low-rank/shape.js';

export type Sizes = Pick<Layer, 'm' | 'd' | 'channels'>;
export type PickedLayer = Sizes & Pick<Layer, 'positions' | 'inputSize' | 'outputSize' | 'uses'>;
export type AppliedLayer = PickedLayer & Pick<Layer, 'op' | 'transposed'>;

/** What a sparse part is made of; the weights of S, row-major. */
export interface KeptWeights {
  /** The kept channels, rows, columns or blocks (row-major), ascending; [] where single weights are kept. */
  kept: number[];
  weights: Float32Array;
}

/** What one group of weights of the sparse part is, zero or kept as a whole. */
export interface PatternDescription {
  /** For a reader: what a group is, and what many are called. */
  group: string;
  groups: string;
  /**
   * What of S is stored. `columns`: [m, kept * width], the outputs share their inputs. `rows`: [kept, d], nothing
   * stands beside a kept row. `all`: [m, d] with zeros, every output has inputs of its own.
   */
  stores: 'columns' | 'rows' | 'all';
  /** Columns of S that a group is; for `columns`. */
  width: (taps: number) => number;
  /** How many groups a layer has. */
  total: (layer: Sizes) => number;
  /** Groups are kept in multiples of this; null: all of them, always. */
  step: (layer: Sizes) => number | null;
  /** Groups of a part that is there. */
  count: (part: KeptWeights, m: number) => number;
  /** Whether the zeros are part of the file and of the computation. */
  storesZeros: (op: Layer['op']) => boolean;
  /**
   * The convolutions that a part of `groups` (not 0) is made of, without the bias.
   * @param alone no low-rank part beside it
   */
  parts: (layer: AppliedLayer, groups: number, alone: boolean) => Part[];
  /** The convolutions that pick its channels, where a format has no other way; absent: none, or not counted. */
  picks?: (layer: PickedLayer, groups: number) => Part[];
  /** The weights of these convolutions that are not zero. */
  nonzeros: (layer: Sizes, groups: number, alone: boolean) => number;
  /** A part of so many groups, spread evenly over the layer, every kept weight `value`. */
  even: (layer: Sizes, groups: number, value: number) => KeptWeights;
}

/** `count` of the numbers below `of`, spread evenly. */
export const spread = (count: number, of: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.floor((i * of) / count));

export const filled = (length: number, value: number): Float32Array => new Float32Array(length).fill(value);

/** Some of the input channels, by a 1x1 convolution. */
export const pickInputs = (layer: PickedLayer, outputs: number): Part => ({
  outputs,
  channels: layer.channels,
  taps: 1,
  places: layer.inputSize.length === 0 ? layer.positions : placesBefore(layer, inputPlaces),
});

/** The layer itself, as one convolution. */
export const denseLayer = (layer: AppliedLayer): Part => ({
  outputs: layer.m,
  channels: layer.channels,
  taps: layer.d / layer.channels,
  ...layerPlaces(layer),
});
