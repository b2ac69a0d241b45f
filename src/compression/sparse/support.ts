import type { SparsePart } from '../../models/sparse/index.js';

/** Where S may be other than zero. */
export interface Support {
  /** Kept rows or blocks, else []. */
  kept: number[];
  /** [m, d] of 1 and 0 */
  mask: Uint8Array;
}

export interface LayerSizes {
  m: number;
  d: number;
  channels: number;
}

/** How a pattern limits where S may be other than zero. */
export interface SupportRule {
  /**
   * Keeps the groups with the largest scores.
   * @param scores of single weights, [m, d]
   */
  project(scores: Float32Array, groups: number, sizes: LayerSizes): Support;
  /** The support of a part that is there. */
  restore(part: SparsePart, sizes: LayerSizes): Support;
}

/** What is not zero: where the groups are single weights. */
export const nonzeroSupport = ({ kept, weights }: SparsePart): Support => ({
  kept,
  mask: Uint8Array.from(weights, (w) => (w === 0 ? 0 : 1)),
});
