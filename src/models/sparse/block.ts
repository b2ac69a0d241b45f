import type { Layer } from '../layer.js';
import { denseLayer, spread, type PatternDescription } from './pattern.js';

/**
 * Most channels of a block. As convolutions in groups, blocks of 8 outputs were slower than the dense layer (0.7 to
 * 1.1x at a quarter of the weights, two cores with AVX-512), those of 32 faster (2.6 to 4.4x).
 */
const BLOCK = { outputs: 32, inputs: 8 } as const;

/** Channels of one block, and how many blocks there are each way; at least two each way where the sizes divide. */
export function blocksOf({ m, channels }: Pick<Layer, 'm' | 'channels'>): {
  outputs: number;
  inputs: number;
  rows: number;
  columns: number;
} {
  const outputs = largestDivisor(m, Math.min(BLOCK.outputs, m / 2));
  const inputs = largestDivisor(channels, Math.min(BLOCK.inputs, channels / 2));
  return { outputs, inputs, rows: m / outputs, columns: channels / inputs };
}

function largestDivisor(n: number, limit: number): number {
  for (let divisor = Math.floor(limit); divisor > 1; divisor--) if (n % divisor === 0) return divisor;
  return 1;
}

/** A product of more than two dimensions has no groups. */
const storesZeros = (op: Layer['op']): boolean => op === 'MatMul';

/** Up to 32 output x 8 input channels, all taps; the same number of blocks in every block of outputs. */
export const block = {
  group: 'a block of outputs x input channels',
  groups: 'blocks',
  stores: 'all',
  width: (taps) => taps,
  total: (layer) => {
    const { rows, columns } = blocksOf(layer);
    return rows * columns;
  },
  step: (layer) => blocksOf(layer).rows,
  count: ({ kept }) => kept.length,
  storesZeros,
  parts: (layer, groups) => {
    const { inputs, rows } = blocksOf(layer);
    const dense = denseLayer(layer);
    return [storesZeros(layer.op) ? dense : { ...dense, channels: (groups / rows) * inputs }];
  },
  nonzeros: (layer, groups) => {
    const { outputs, inputs } = blocksOf(layer);
    return (groups * outputs * inputs * layer.d) / layer.channels;
  },
  even: (layer, groups, value) => {
    const { m, d, channels } = layer;
    const { rows, columns, outputs, inputs } = blocksOf(layer);
    const width = (inputs * d) / channels;
    const weights = new Float32Array(m * d);
    const kept: number[] = [];
    for (let row = 0; row < rows; row++) {
      for (const at of spread(groups / rows, columns)) {
        kept.push(row * columns + at);
        for (let o = row * outputs; o < (row + 1) * outputs; o++) {
          weights.fill(value, o * d + at * width, o * d + (at + 1) * width);
        }
      }
    }
    return { kept, weights };
  },
} as const satisfies PatternDescription;
