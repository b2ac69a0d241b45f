export interface EventRecord {
  /** Ascending within a job: the cursor, and the `Last-Event-ID`. */
  id: number;
  jobId: string;
  type: EventType;
  data: Record<string, unknown>;
  createdAt: Date;
}

export const EVENT_TYPES = [
  'job.created',
  'job.started',
  'job.phase',
  'job.canceling',
  'job.retried',
  'job.succeeded',
  'job.failed',
  'job.canceled',
  'layer.started',
  'layer.finished',
  'task.retrying',
] as const;

export type EventType = (typeof EVENT_TYPES)[number];

export interface ArtifactRecord {
  name: string;
  key: string;
  bytes: number;
  sha256: string;
  contentType: string;
  createdAt: Date;
  expiresAt: Date;
}
