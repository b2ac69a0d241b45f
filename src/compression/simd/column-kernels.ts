import type { Matrix } from '../../engines/index.js';
import { Kernel } from './kernel.js';
import { OFFSETS, SLOT } from './memory.js';
import { columnSums, compiled, run, slot } from './run.js';

const kernels = (() => {
  const sums = new Kernel();
  sums.sumColumns(sums.load(0));
  const add = new Kernel();
  add.store(1, add.add(add.load(0), add.load(OFFSETS)));
  return compiled({ sums, add });
})();

/** Floats in a block of whole rows: then every block has the same columns in the same places. 0 if no row fits. */
const blockOfRows = (cols: number): number => (cols === 0 ? 0 : cols * Math.floor(SLOT / cols));

/** Sum of every column, in double precision; null where it is to be had without kernels only. */
export function sumsOfColumns(a: Matrix): Float64Array | null {
  const block = blockOfRows(a.cols);
  if (kernels === null || block === 0) return null;
  columnSums.fill(0, 0, block);
  run(kernels.sums, { inputs: [a.data], outputs: [], block });
  const sums = new Float64Array(a.cols);
  for (let i = 0; i < block; i += a.cols) {
    for (let c = 0; c < a.cols; c++) sums[c] = sums[c] + columnSums[i + c];
  }
  return sums;
}

/** a += 1 offsetᵀ, in place; false where it is to be had without kernels only. */
export function addOffsets(a: Matrix, offset: ArrayLike<number>): boolean {
  const block = blockOfRows(a.cols);
  if (kernels === null || block === 0) return false;
  if (offset.length !== a.cols) throw new RangeError(`${offset.length} offsets for ${a.cols} columns`);
  const offsets = slot(OFFSETS);
  offsets.set(offset);
  for (let filled = a.cols; filled < block; filled *= 2) {
    offsets.copyWithin(filled, 0, Math.min(filled, block - filled));
  }
  run(kernels.add, { inputs: [a.data], outputs: [a.data], block });
  return true;
}
