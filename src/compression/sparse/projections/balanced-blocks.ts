import { topGroups } from './top-groups.js';

/**
 * Projection on the same number of blocks in every row of blocks: the kept ones of `energies` [rows, columns],
 * row-major and ascending, ties to the lower index.
 */
export function balancedBlocks(energies: Float64Array, rows: number, perRow: number): number[] {
  const columns = energies.length / rows;
  return Array.from({ length: rows }, (_, row) =>
    topGroups(energies.subarray(row * columns, (row + 1) * columns), perRow).map((column) => row * columns + column),
  ).flat();
}
