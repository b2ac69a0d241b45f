import { nOfM as project } from './projections/n-of-m.js';
import { nonzeroSupport, type SupportRule } from './support.js';

/** Two of every four neighbours, whatever number of groups is asked for. */
export const nOfM: SupportRule = {
  project: (scores, _, { d }) => ({ kept: [], mask: project(scores, d) }),
  restore: nonzeroSupport,
};
