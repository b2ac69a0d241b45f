import type { AllocationLayer } from '../../../compression/index.js';
import type { DroppedBranch } from '../../../jobs/tasks.js';
import type { Curves } from '../../curves/curves.js';

/** The branches that a choice leaves out. */
export function droppedBranches(
  { branches = [], layers }: Curves,
  tables: readonly AllocationLayer[],
  choice: readonly number[],
): DroppedBranch[] {
  const dropped = new Set(
    layers.flatMap(({ index }, i) => (tables[i]?.candidates[choice[i] ?? -1]?.dropped === true ? [index] : [])),
  );
  return branches
    .filter((branch) => branch.layers.some((index) => dropped.has(index)))
    .map(({ sum, layers: inside }) => ({ sum, layers: inside }));
}
