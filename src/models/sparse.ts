import type { Part } from './cost.js';
import type { Layer } from './layer.js';

/**
 * What one group of weights of the sparse part is, zero or kept as a whole:
 * - `channel`: an input channel, all its taps
 * - `filter`: an output channel, a whole row of W
 * - `column`: one tap of one input channel, a column of the im2col matrix
 * - `block`: up to 32 output x 8 input channels, all taps; the same number of blocks in every block of outputs
 * - `n:m`: two of every four neighbours along the inputs of an output
 * - `unstructured`: a single weight
 *
 * The last two have no ONNX form that leaves zeros out: they are stored as a dense layer with zeros, which no runtime of ours
 * computes faster. `channel` and `column` are the same where the kernel has one tap.
 */
export const SPARSE_PATTERNS = ['channel', 'filter', 'column', 'block', 'n:m', 'unstructured'] as const;
export type SparsePattern = (typeof SPARSE_PATTERNS)[number];

/** S of a layer. `d` in the shapes is the layer's whole patch. */
export interface SparsePart {
  pattern: SparsePattern;
  /** The kept channels, rows, columns or blocks (row-major), ascending; [] for `n:m` and `unstructured`. */
  kept: number[];
  /**
   * `channel`: [m, kept * taps]; `filter`: [kept, d]; `column`: [m, kept]; the others: [m, d] with zeros.
   */
  weights: Float32Array;
}

/** Weights of `n:m`: N of every M. */
export const KEPT_OF = { n: 2, m: 4 } as const;
/**
 * Most channels of a block. As convolutions in groups, blocks of 8 outputs were slower than the dense layer (0.7 to 1.1x at a
 * quarter of the weights, two cores with AVX-512), those of 32 faster (2.6 to 4.4x).
 */
const BLOCK = { outputs: 32, inputs: 8 } as const;

type Sizes = Pick<Layer, 'm' | 'd' | 'channels'>;

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

/** How many groups a layer has. For `n:m` these are the groups of four, of which each keeps two weights. */
export function groupsTotal(layer: Sizes, pattern: SparsePattern): number {
  switch (pattern) {
    case 'channel':
      return layer.channels;
    case 'filter':
      return layer.m;
    case 'column':
      return layer.d;
    case 'block': {
      const { rows, columns } = blocksOf(layer);
      return rows * columns;
    }
    case 'n:m':
      return layer.m * Math.ceil(layer.d / KEPT_OF.m);
    case 'unstructured':
      return layer.m * layer.d;
  }
}

/** Kept groups of a part. */
export function groupsOf({ pattern, kept, weights }: SparsePart, m: number): number {
  if (pattern === 'unstructured') return weights.reduce((count, w) => (w === 0 ? count : count + 1), 0);
  return pattern === 'n:m' ? m * Math.ceil(weights.length / m / KEPT_OF.m) : kept.length;
}

/** Whether the zeros are part of the file and of the computation. A product of more than two dimensions has no groups. */
export function storesZeros({ op }: Pick<Layer, 'op'>, pattern: SparsePattern): boolean {
  return pattern === 'n:m' || pattern === 'unstructured' || (pattern === 'block' && op === 'MatMul');
}

export const ZEROS_NOTE =
  'the sparse part is a dense layer with zeros: not faster, and smaller only when the file is compressed';

/**
 * The convolutions that the sparse part is made of, without the bias.
 * @param alone no low-rank part beside it
 */
export function sparseParts(
  layer: Sizes & Pick<Layer, 'positions' | 'op'>,
  pattern: SparsePattern,
  groups: number,
  alone: boolean,
): Part[] {
  const { m, d, channels, op, positions: places } = layer;
  const taps = d / channels;
  const dense: Part = { outputs: m, channels, taps, places };
  if (groups === 0) return [];
  switch (pattern) {
    case 'channel':
      return [{ ...dense, channels: groups }];
    case 'filter': {
      const rows = { ...dense, outputs: groups };
      // What puts the rows in their places: a factor for every channel, or a product with unit vectors.
      return alone ? [rows, { ...dense, channels: op === 'Conv' ? 1 : groups, taps: 1 }] : [rows];
    }
    case 'column': {
      const sum = { ...dense, channels: groups, taps: 1 };
      // A kernel that picks the tap, for every column.
      return taps === 1 ? [sum] : [{ ...dense, outputs: groups, channels: 1 }, sum];
    }
    case 'block': {
      const { inputs, rows } = blocksOf(layer);
      return [storesZeros(layer, pattern) ? dense : { ...dense, channels: (groups / rows) * inputs }];
    }
    case 'n:m':
    case 'unstructured':
      return [dense];
  }
}

/** The weights of these convolutions that are not zero. */
export function sparseNonzeros(layer: Sizes, pattern: SparsePattern, groups: number, alone: boolean): number {
  const { m, d, channels } = layer;
  const taps = d / channels;
  if (groups === 0) return 0;
  switch (pattern) {
    case 'channel':
      return groups * taps * m;
    case 'filter':
      return groups * d + (alone ? groups : 0);
    case 'column':
      return groups * (taps === 1 ? m : m + 1);
    case 'block': {
      const { outputs, inputs } = blocksOf(layer);
      return groups * outputs * inputs * taps;
    }
    case 'n:m':
      return m * (KEPT_OF.n * Math.floor(d / KEPT_OF.m) + Math.min(KEPT_OF.n, d % KEPT_OF.m));
    case 'unstructured':
      return groups;
  }
}
