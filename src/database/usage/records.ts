/** What usage is summed by; `label` needs the name of a label. */
export const USAGE_GROUPS = ['day', 'team', 'job', 'label'] as const;

export type UsageGroup = (typeof USAGE_GROUPS)[number];

export interface UsageQuery {
  /** UTC days, both included: `2026-01-31`. */
  from: string;
  to: string;
  by: UsageGroup[];
  label: string | null;
  limit: number;
}

/** A group's fields are null when it was not asked for, and `label` also for what does not have the label. */
export interface UsageRow {
  day: string | null;
  teamId: string | null;
  jobId: string | null;
  label: string | null;
  jobs: number;
  tasks: number;
  deviceSeconds: number;
  uploadBytes: number;
  artifactBytes: number;
}
