import type { Layer, LayerSize } from '../layer.js';
import type { Part } from '../cost.js';

/** What of a layer decides which shapes it can have. */
export interface Patch {
  /** Input channels. */
  channels: number;
  /** Taps of the kernel. */
  taps: number;
  /** Taps along all axes of the kernel but the first: kw, or kh * kw of three. Absent: there are no two axes. */
  lastAxes?: number;
  /** The layer is a transposed convolution. */
  transposed?: boolean;
}

/** How the low-rank part of a layer is laid out as a chain of convolutions. */
export interface ShapeDescription {
  /** For a reader: the convolutions, from the input to the output. */
  convolutions: string;
  /**
   * What the chain leaves less of than the layer has: of what it sees of its inputs, of its outputs' rank, or of both.
   * With `both` the first width is `inner` and the second `rank`, else `rank` is the only one.
   */
  narrows: 'input' | 'output' | 'both';
  /** Whether the shape makes sense for a layer. */
  applies(patch: Patch): boolean;
  /** The convolutions of a part of the given size and `outputs` outputs, from the input to the output. */
  parts(layer: PartsLayer, size: Pick<LayerSize, 'rank' | 'inner'>, outputs: number): Part[];
}

export type PartsLayer = Pick<
  Layer,
  'd' | 'channels' | 'kernel' | 'positions' | 'inputSize' | 'outputSize' | 'uses' | 'transposed'
>;

/** Places of a feature map that a convolution in front of the layer's last one has, over all uses of the layer. */
export const placesBefore = (
  layer: Pick<Layer, 'inputSize' | 'outputSize' | 'uses'>,
  places: (use: Pick<Layer, 'inputSize' | 'outputSize'>) => number,
): number => (layer.uses ?? [layer]).reduce((sum, use) => sum + places(use), 0);

/** Places of the input. */
export const inputPlaces = ({ inputSize }: Pick<Layer, 'inputSize'>): number => inputSize.reduce((a, b) => a * b, 1);

/** Places of a convolution that goes from the layer's input to its output. */
export const layerPlaces = (
  layer: Pick<Layer, 'positions' | 'inputSize' | 'outputSize' | 'uses' | 'transposed'>,
): Pick<Part, 'places' | 'written'> =>
  layer.transposed === undefined
    ? { places: layer.positions }
    : { places: placesBefore(layer, inputPlaces), written: layer.positions };
