/** Why a sweep stopped: what it would have removed that the database has never heard of, of how many files in all. */
export interface SweepHold {
  files: number;
  of: number;
  /** RFC 3339 */
  since: string;
}

export type SweepHolds = Partial<Record<'jobs' | 'uploads', SweepHold>>;
