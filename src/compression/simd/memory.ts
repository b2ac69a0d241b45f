/**
 * The memory that the kernels compute in: a few slots that stay in the cache. Arrays of any size pass through it in
 * blocks, so that it never grows and the solver's arrays stay ordinary ones. Measured with the copies, a pass over
 * 5,000 x 64 floats takes 0.3 to 1.2 ns per entry; the plain loops take 0.6 to 16.
 */

/** Floats per slot. */
export const SLOT = 8192;
const SLOT_BYTES = 4 * SLOT;
export const SLOTS = 7;
/** Kept by no pass over arrays: values that repeat with every block. */
export const OFFSETS = SLOTS - 1;
/** Parameters of every kernel. */
export const SCALARS = 4;
/** Sums of squares, each in two lanes of double precision. */
export const RESULTS = 6;
/** A sum in double precision per float of a slot. */
export const COLUMN_SUMS_AT = SLOTS * SLOT_BYTES;
export const RESULTS_AT = COLUMN_SUMS_AT + 8 * SLOT;
const PAGE = 65536;
export const PAGES = Math.ceil((RESULTS_AT + 16 * RESULTS) / PAGE);

export const slotAt = (slot: number): number => slot * SLOT_BYTES;
