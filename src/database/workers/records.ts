import type { TaskKind } from '../../jobs/tasks.js';
import type { Offer } from '../../scheduling/worker-classes.js';

export interface WorkerRecord extends Offer {
  id: string;
  device: string;
  threads: number;
  /** Tasks it can run at once. */
  slots: number;
  /** Why it takes no tasks for now (since when, as ISO 8601); null while it is in service. */
  trouble: { code: string; reason: string; since: string } | null;
  /** What it runs now. */
  busy: { taskId: string; jobId: string; teamId: string; kind: TaskKind; layer: number | null } | null;
  startedAt: Date;
  lastSeenAt: Date;
  /** Since when it takes no more tasks; null: it takes them. */
  drainingSince: Date | null;
}

/** Live workers that have the same to offer. */
export interface WorkerClass extends Offer {
  name: string;
  workers: number;
  slots: number;
  running: number;
  released: number;
}
