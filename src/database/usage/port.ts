import type { UsageQuery, UsageRow } from './records.js';

export interface UsageRepository {
  /** Sums over a team, or over all teams with null. In the order of the groups. */
  sum(teamId: string | null, query: UsageQuery): Promise<UsageRow[]>;
}
