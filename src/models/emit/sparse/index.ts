import type { SparsePattern } from '../../sparse/index.js';
import { block } from './block.js';
import { channel } from './channel.js';
import { column } from './column.js';
import type { SparseEmitter } from './emitter.js';
import { filter } from './filter.js';
import { withZeros } from './with-zeros.js';

/** How each pattern of the sparse part is written. */
export const SPARSE_EMITTERS: Readonly<Record<SparsePattern, SparseEmitter>> = {
  ...{ channel, filter, column, block },
  'n:m': withZeros,
  unstructured: withZeros,
};

export const sparseBranch: SparseEmitter = (b, part, bias, to) => SPARSE_EMITTERS[part.pattern](b, part, bias, to);
