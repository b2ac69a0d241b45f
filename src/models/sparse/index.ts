import type { Part } from '../cost.js';
import type { Layer } from '../layer.js';
import { block } from './block.js';
import { channel } from './channel.js';
import { column } from './column.js';
import { filter } from './filter.js';
import { nOfM } from './n-m.js';
import type { AppliedLayer, KeptWeights, PatternDescription, Sizes } from './pattern.js';
import { unstructured } from './unstructured.js';

export { blocksOf } from './block.js';
export { KEPT_OF } from './n-m.js';

/**
 * The patterns there are; what the API takes and what is measured follow from here. How the support is chosen is in
 * compression/sparse, how a part is written in models/emit/sparse, by the same name.
 */
const PATTERNS = { channel, filter, column, block, 'n:m': nOfM, unstructured } as const satisfies Record<
  string,
  PatternDescription
>;

export type SparsePattern = keyof typeof PATTERNS;

/** Patterns whose outputs differ in the inputs that they see. */
export type MaskedPattern = {
  [P in SparsePattern]: (typeof PATTERNS)[P]['stores'] extends 'columns' ? never : P;
}[SparsePattern];

export const PATTERN: Readonly<Record<SparsePattern, PatternDescription>> = PATTERNS;

export const SPARSE_PATTERNS = Object.keys(PATTERNS) as SparsePattern[];

/** What a group is where nothing is said. */
export const PLAIN_PATTERN = 'channel' satisfies SparsePattern;

export const isMasked = (pattern: SparsePattern): pattern is MaskedPattern => PATTERN[pattern].stores !== 'columns';

/** S of a layer, as the pattern stores it. */
export interface SparsePart extends KeptWeights {
  pattern: SparsePattern;
}

/** How many groups a layer has. For `n:m` these are the groups of four, of which each keeps two weights. */
export const groupsTotal = (layer: Sizes, pattern: SparsePattern): number => PATTERN[pattern].total(layer);

/** Kept groups of a part. */
export const groupsOf = (part: SparsePart, m: number): number => PATTERN[part.pattern].count(part, m);

/** Whether the zeros are part of the file and of the computation. */
export const storesZeros = ({ op }: Pick<Layer, 'op'>, pattern: SparsePattern): boolean =>
  PATTERN[pattern].storesZeros(op);

export const ZEROS_NOTE =
  'the sparse part is a dense layer with zeros: not faster, and smaller only when the file is compressed';

/** A sparse part of some size. */
export interface SparseSize {
  pattern: SparsePattern;
  groups: number;
  /** No low-rank part beside it. */
  alone: boolean;
}

/** The convolutions that the sparse part is made of, without the bias. */
export const sparseParts = (layer: AppliedLayer, { pattern, groups, alone }: SparseSize): Part[] =>
  groups === 0 ? [] : PATTERN[pattern].parts(layer, groups, alone);

/** The weights of these convolutions that are not zero. */
export const sparseNonzeros = (layer: Sizes, { pattern, groups, alone }: SparseSize): number =>
  groups === 0 ? 0 : PATTERN[pattern].nonzeros(layer, groups, alone);
