import type { Matrix } from '../../engines/index.js';
import { blocksOf, type SparsePattern } from '../../models/sparse.js';
import { balancedBlocks } from './projections/balanced-blocks.js';
import { nOfM } from './projections/n-of-m.js';
import { topEntries } from './projections/top-entries.js';
import { topGroups } from './projections/top-groups.js';

/** Patterns whose outputs differ in the inputs that they see. */
export type MaskedPattern = Exclude<SparsePattern, 'channel' | 'column'>;

export function isMasked(pattern: SparsePattern): pattern is MaskedPattern {
  return pattern !== 'channel' && pattern !== 'column';
}

/** Where S may be other than zero. */
export interface Support {
  /** Kept rows or blocks, else []. */
  kept: number[];
  /** [m, d] of 1 and 0 */
  mask: Uint8Array;
}

/**
 * Projects the weights that S would have without a limit, W0 - L, on the pattern. A weight counts by what it does to the response,
 * its square times the variance of its input: the metric of the response without its correlations.
 *
 * @param rest W0 - L, [m, d]
 * @param variances of the inputs, [d]
 */
export function selectSupport(
  pattern: MaskedPattern,
  groups: number,
  rest: Matrix,
  variances: Float64Array,
  channels: number,
): Support {
  const { rows: m, cols: d } = rest;
  const scores = rest.data.map((w, i) => w * w * (variances[i % d] as number));
  if (pattern === 'unstructured') return { kept: [], mask: topEntries(scores, groups) };
  if (pattern === 'n:m') return { kept: [], mask: nOfM(scores, d) };
  const sizes = { m, channels };
  if (pattern === 'filter') {
    const energies = new Float64Array(m);
    scores.forEach((score, i) => (energies[Math.floor(i / d)] = (energies[Math.floor(i / d)] as number) + score));
    return supportOf(pattern, topGroups(energies, groups), sizes, d);
  }
  const block = blocksOf(sizes);
  const taps = d / channels;
  const energies = new Float64Array(block.rows * block.columns);
  scores.forEach((score, i) => {
    const at =
      Math.floor(i / d / block.outputs) * block.columns + Math.floor(Math.floor((i % d) / taps) / block.inputs);
    energies[at] = (energies[at] as number) + score;
  });
  return supportOf(pattern, balancedBlocks(energies, block.rows, groups / block.rows), sizes, d);
}

/** The support of kept rows or blocks. */
export function supportOf(
  pattern: 'filter' | 'block',
  kept: number[],
  { m, channels }: { m: number; channels: number },
  d: number,
): Support {
  const mask = new Uint8Array(m * d);
  if (pattern === 'filter') {
    for (const row of kept) mask.fill(1, row * d, (row + 1) * d);
    return { kept, mask };
  }
  const block = blocksOf({ m, channels });
  const width = (block.inputs * d) / channels;
  for (const index of kept) {
    const first = Math.floor(index / block.columns) * block.outputs;
    const column = (index % block.columns) * width;
    for (let row = first; row < first + block.outputs; row++) mask.fill(1, row * d + column, row * d + column + width);
  }
  return { kept, mask };
}
