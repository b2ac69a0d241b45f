import type { SerializedError } from '../../errors/index.js';
import type { Assignment, NetworkNode, StepFile, StepResult } from '../../jobs/tasks.js';
import type {
  Backlog,
  JobFilesInUse,
  NeededFile,
  NeededKind,
  PoolMoment,
  PoolOverview,
  TaskRecord,
} from './records.js';

export interface TaskRepository {
  /** In the order in which they were made; null for an unknown job. */
  list(teamId: string, jobId: string): Promise<TaskRecord[] | null>;
  /** The graph of the network; null before the inspection, for an unknown job, and where it is too large. */
  network(teamId: string, jobId: string): Promise<NetworkNode[] | null>;
}

export type HeartbeatState =
  | 'ok'
  /** The task moved on to another attempt, or ended: stop, upload nothing. */
  | 'lost'
  /** The job is being canceled, or has ended: stop at once, then call `fail` or `requeue`, whichever is at hand. */
  | 'cancel';

export interface ReleasableTask {
  taskId: string;
  attempt: number;
  /** The workers that it is for: see src/scheduling/worker-classes.ts. */
  workerClass: string;
}

/** What a reconciler changed. */
export interface ReconcileReport {
  expiredLeases: number;
  lostFromQueue: number;
  canceled: number;
  deadlines: number;
}

/** One of its changes. */
export interface Reconciled {
  what: keyof ReconcileReport;
  jobId: string;
  teamId: string;
  /** The task that was put back or ended; null where it was the whole job. */
  task: { id: string; kind: string; layer: number | null; attempt: number; workerId: string | null } | null;
}

/** What a worker knows of its task: nothing of it has to be read again at the end. */
export interface Claimed {
  assignment: Assignment;
  workerId: string;
  /** That the step took. */
  seconds: number;
}

export interface Outcome {
  result: StepResult;
  files: StepFile[];
  peakBytes?: number;
  idleSeconds?: number;
  claimed?: Claimed;
}

/**
 * The pool's side: no team argument, because the pool serves all teams. Only the relay, the reconciler and workers use
 * it, never a request of a client. Every change of a running task is fenced by `attempt`.
 */
export interface PoolRepository {
  /**
   * Takes a released task. Null: another attempt is in charge, the job has ended or is being canceled, or the worker is
   * not to have it: drop the message.
   *
   * @param onDraining - called when it is refused to a worker that drains; the task waits for others again
   */
  claim(taskId: string, attempt: number, workerId: string, onDraining?: () => void): Promise<Assignment | null>;
  /** Extends the lease by LEASE_SECONDS. */
  heartbeat(
    taskId: string,
    attempt: number,
    state: { fraction: number; idleSeconds?: number },
  ): Promise<HeartbeatState>;
  /**
   * Stores the result and what follows from it (ledger, next tasks, progress, metrics, artifacts, the job's end), in
   * one transaction. False: the fence refused, and the caller deletes the files it uploaded. Calling it again is
   * harmless.
   */
  succeed(taskId: string, attempt: number, outcome: Outcome): Promise<boolean>;
  /**
   * Errors of the input end the job; any other is tried again with backoff until TASK_ATTEMPTS. Of a running task, or
   * of a released one that could not even be claimed. `idleSeconds` here and below: what the worker waited for things
   * that were away.
   */
  fail(
    taskId: string,
    attempt: number,
    error: SerializedError,
    idleSeconds?: number,
  ): Promise<'retrying' | 'failed' | 'canceled' | 'lost'>;
  /** A graceful stop: back to waiting at once, and not counted as a failed attempt. False when the fence refused. */
  requeue(taskId: string, attempt: number, idleSeconds?: number): Promise<boolean>;
  /**
   * The worker's own fault: back to waiting at once for the others, and not counted while there are others in service
   * and this has not happened too often; else as `fail`.
   */
  requeueElsewhere(
    taskId: string,
    attempt: number,
    error: SerializedError,
    idleSeconds?: number,
  ): Promise<'handed_back' | 'retrying' | 'failed' | 'canceled' | 'lost'>;

  /** The relay's turn: chooses tasks in fair order and marks them released, or null when another relay is at it. */
  release(): Promise<ReleasableTask[] | null>;
  /** The queue did not take them: waiting again. */
  unrelease(tasks: Pick<ReleasableTask, 'taskId' | 'attempt'>[]): Promise<void>;
  /**
   * Puts back what was lost; `inQueue` tells whether the queue still has a released task. `onChange` is told of every
   * change.
   */
  reconcile(
    inQueue: (task: ReleasableTask) => Promise<boolean>,
    onChange?: (change: Reconciled) => void,
  ): Promise<ReconcileReport>;
  overview(): Promise<PoolOverview>;
  /** Tasks that ran and waited at the end of each of the last minutes, the oldest first. */
  history(minutes: number): Promise<PoolMoment[]>;
  /** What waits, for how long, and how jobs ended lately. */
  backlog(): Promise<Backlog>;
  /** Deletes uploads and artifacts whose time is over and returns their storage keys, for the caller to delete. */
  expire(limit: number): Promise<string[]>;
  /** Deletes up to `limit` each of the rows that nobody asks for any more; how many, by what they were. */
  expireRows(limit: number): Promise<Record<string, number>>;
  /** A job that does not exist (any more) is not in the map. */
  filesInUse(jobIds: string[]): Promise<Map<string, JobFilesInUse>>;
  /** Which of these storage keys are those of uploads. */
  uploadsInUse(keys: string[]): Promise<Set<string>>;
  /**
   * The files that must be in storage, by the rows that say so: a page in the order of their ids, or those of these
   * ids.
   */
  neededFiles(
    kind: NeededKind,
    rows: { after: string; limit: number } | { ids: string[] },
  ): Promise<{ id: string; files: NeededFile[] }[]>;
}
