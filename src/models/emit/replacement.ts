import type { DenseWeights } from '../graph/dense-weights.js';
import type { Factors } from '../layer.js';

/** New dense weights, or a low-rank plus sparse pair of branches. */
export type Replacement = DenseWeights | Factors;

/** The layer stays as it is. */
export const isNone = (replacement: Replacement): boolean =>
  'lowRank' in replacement && replacement.lowRank === null && replacement.sparse === null;
