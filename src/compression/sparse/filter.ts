import { topGroups } from './projections/top-groups.js';
import type { LayerSizes, Support, SupportRule } from './support.js';

/** Whole rows of W. */
export function rowSupport(kept: number[], { m, d }: Pick<LayerSizes, 'm' | 'd'>): Support {
  const mask = new Uint8Array(m * d);
  for (const row of kept) mask.fill(1, row * d, (row + 1) * d);
  return { kept, mask };
}

export const filter: SupportRule = {
  project(scores, groups, sizes) {
    const energies = new Float64Array(sizes.m);
    scores.forEach((score, i) => {
      const row = Math.floor(i / sizes.d);
      energies[row] = energies[row] + score;
    });
    return rowSupport(topGroups(energies, groups), sizes);
  },
  restore: ({ kept }, sizes) => rowSupport(kept, sizes),
};
