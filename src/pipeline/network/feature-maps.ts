import type { Layer } from '../../models/index.js';

/** Bytes of one sample's feature maps, float32. */
export interface MapBytes {
  /** The inputs or outputs of all layers: what a pass that captures them holds. */
  all: number;
  /** Input and output of the layer where they are largest: what a plain run holds at least. */
  held: number;
  /** The largest input of a layer. */
  input: number;
}

export function mapBytes(
  layers: readonly Pick<Layer, 'channels' | 'group' | 'm' | 'positions' | 'strides' | 'transposed'>[],
): MapBytes {
  const result = { all: 1, held: 1, input: 1 };
  for (const { channels, group, m, positions, strides, transposed } of layers) {
    const steps = strides.reduce((a, b) => a * b, 1);
    const input = 4 * channels * group * positions * (transposed === undefined ? steps : 1 / steps);
    const output = 4 * m * positions;
    result.all += Math.max(input, output);
    result.held = Math.max(result.held, input + output);
    result.input = Math.max(result.input, input);
  }
  return result;
}

/** Samples of `each` bytes that fit into `bytes`: at least one, at most `most`. */
export const batchWithin = (bytes: number, each: number, most: number): number =>
  Math.min(most, Math.max(1, Math.floor(bytes / each)));
