import type { DroppedBranch } from '../../jobs/tasks.js';
import { withoutBranches, type Model } from '../../models/index.js';

/** The network whose layers are fitted: without some branches. */
export const withoutDropped = <T extends { prepared: Model }>(network: T, dropped: readonly DroppedBranch[]): T => ({
  ...network,
  prepared: withoutBranches(
    network.prepared,
    dropped.map(({ sum }) => sum),
  ),
});
