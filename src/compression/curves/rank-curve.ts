import type { LowRankShape } from '../../models/low-rank/index.js';
import type { SparsePattern } from '../../models/sparse/index.js';

/** Errors of the linear fit against the rank, for one shape of the low-rank part and one number of kept groups. */
export interface RankCurve {
  shape: LowRankShape;
  inner: number;
  groups: number;
  /** What the groups are; absent: input channels. */
  pattern?: SparsePattern;
  ranks: number[];
  /** || Y - r(fit) ||² / || Y ||² after the activation, one for each rank. */
  errors: number[];
}
