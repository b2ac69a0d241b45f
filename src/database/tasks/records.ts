import type { TaskKind, TaskState } from '../../jobs/tasks.js';
import type { ClassDepth } from '../../scheduling/class-depth.js';
import type { WorkerClass, WorkerRecord } from '../workers/records.js';

/** The files of a job that someone may still read or is writing, and how far its tasks have come. */
export interface JobFilesInUse {
  /** Storage keys, and prefixes with a `/` at their end. */
  inUse: string[];
  /** The attempt that each task is at, by its id, and as `evaluate` that of this one. */
  attempts: Map<string, number>;
}

/** A file that the database says must be there. */
export interface NeededFile {
  key: string;
  bytes: number;
  /** What it is, for people. */
  of: string;
}

export const NEEDED_KINDS = ['upload', 'artifact', 'work'] as const;

export type NeededKind = (typeof NEEDED_KINDS)[number];

/** A task as it is shown to its team. */
export interface TaskRecord {
  id: string;
  kind: TaskKind;
  layer: number | null;
  point: number | null;
  state: TaskState;
  attempt: number;
  failures: number;
  handBacks: number;
  workerId: string | null;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
  deviceSeconds: number;
  peakBytes: number | null;
  /** Code of what ended it. */
  error: string | null;
}

export interface PoolMoment {
  at: Date;
  running: number;
  waiting: number;
}

export interface PoolOverview {
  workers: WorkerRecord[];
  jobs: { queued: number; running: number };
  /** `unmatched`: those of the waiting ones that no live worker can run. */
  tasks: { waiting: number; released: number; running: number; unmatched: number };
  /** Live workers by what they have, with the tasks that were released to them. */
  classes: WorkerClass[];
  teams: { teamId: string; weight: number; queuedJobs: number; runningTasks: number; waitingTasks: number }[];
}

/** Teams that have something to do, the one with the most waiting tasks first. */
export interface Backlog {
  teams: {
    teamId: string;
    jobsQueued: number;
    jobsRunning: number;
    tasksWaiting: number;
    tasksReleased: number;
    tasksRunning: number;
    /** How long the oldest task that could run waits for a worker. */
    oldestSeconds: number;
  }[];
  /** Open tasks by the kind of worker that has them or will get them. */
  classes: ClassDepth[];
  /** `origin`: whose fault a failure was, else `none`. */
  endedLastHour: { status: string; origin: string; count: number }[];
  webhooks: { pending: number; overdueSeconds: number };
}
