import { topEntries } from './projections/top-entries.js';
import { nonzeroSupport, type SupportRule } from './support.js';

/** Single weights. */
export const unstructured: SupportRule = {
  project: (scores, groups) => ({ kept: [], mask: topEntries(scores, groups) }),
  restore: nonzeroSupport,
};
