import type { Matrix } from '../../engines/index.js';
import type { MaskedPattern } from '../../models/sparse/index.js';
import { block } from './block.js';
import { filter } from './filter.js';
import { nOfM } from './n-m.js';
import type { Support, SupportRule } from './support.js';
import { unstructured } from './unstructured.js';

/** Of the patterns whose outputs differ in the inputs that they see; the others keep columns (select-channels.ts). */
export const SUPPORT_RULES: Readonly<Record<MaskedPattern, SupportRule>> = {
  ...{ filter, block, unstructured },
  'n:m': nOfM,
};

/** Weights without a limit, and what their inputs are. */
export interface Unlimited {
  /** W0 - L, [m, d] */
  rest: Matrix;
  /** Of the inputs, [d]. */
  variances: Float64Array;
  channels: number;
}

/**
 * Projects the weights that S would have without a limit, W0 - L, on the pattern. A weight counts by what it does to
 * the response, its square times the variance of its input: the metric of the response without its correlations.
 */
export function selectSupport(
  pattern: MaskedPattern,
  groups: number,
  { rest, variances, channels }: Unlimited,
): Support {
  const { rows: m, cols: d } = rest;
  const scores = rest.data.map((w, i) => w * w * variances[i % d]);
  return SUPPORT_RULES[pattern].project(scores, groups, { m, d, channels });
}
