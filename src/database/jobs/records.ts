import type { SerializedError } from '../../errors/index.js';
import type { Metrics, Point, Verdict } from '../../jobs/results.js';
import type { Priority, Spec, Target } from '../../jobs/spec.js';
import type { JobInput, JobStatus, Phase } from '../../jobs/tasks.js';
import type { Needs } from '../../scheduling/worker-classes.js';

export interface JobInputs {
  model: JobInput;
  calibration: JobInput;
  evaluation: JobInput | null;
}

/** A point as the job keeps it. */
export type StoredPoint = Omit<Point, 'error'> & { error: SerializedError | null };

export interface JobRecord {
  id: string;
  /** Ascending in the order of creation. */
  seq: number;
  teamId: string;
  status: JobStatus;
  phase: Phase;
  /** Changes with every visible change of the job: the ETag. */
  version: number;
  spec: Spec;
  inputs: JobInputs;
  labels: Record<string, string>;
  priority: Priority;
  /** What a worker must have for it. */
  needs: Needs;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
  progress: { fraction: number; layersDone: number; layersTotal: number; etaSeconds: number | null };
  /** Seconds in which no task ran, in which at least one ran, and summed over devices. */
  seconds: { queued: number; running: number; device: number };
  deadlineSeconds: number | null;
  metrics: Metrics | null;
  verdict: Verdict | null;
  /** One for every target; null before they are planned. */
  points: StoredPoint[] | null;
  error: SerializedError | null;
}

/** What a poll that finds nothing new has to know of a job. */
export type JobBrief = Pick<JobRecord, 'id' | 'seq' | 'teamId' | 'status' | 'version' | 'priority' | 'needs'> & {
  progress: Pick<JobRecord['progress'], 'etaSeconds'>;
};

/** What a list shows of a job. */
export type JobRow = JobBrief &
  Pick<JobRecord, 'phase' | 'labels' | 'progress' | 'createdAt' | 'startedAt' | 'finishedAt'> & {
    updatedAt: Date;
    /** Its name, as the client gave it. */
    model: string;
    targets: Target[];
    passed: boolean | null;
    /** Of the first point that was reached. */
    result: JobResult | null;
    error: SerializedError | null;
  };

/** What came of a job, in four numbers. */
export interface JobResult {
  parameterRatio: number;
  speedup: number;
  accuracyDrop: number | null;
  agreement: number | null;
}

/** What decides about a place in the queue. */
export type QueuedJob = Pick<JobRecord, 'seq' | 'teamId' | 'priority' | 'needs'>;

export interface NewJob {
  spec: Spec;
  inputs: JobInputs;
  labels: Record<string, string>;
  priority: Priority;
  deadlineSeconds: number | null;
  /** W3C trace context of the request. */
  traceparent?: string | null;
  /**
   * Stored with the job in the same transaction, so that a crash before `idempotency.finish` cannot make a second job.
   */
  idempotencyToken?: string;
}

export interface JobFilter {
  limit: number;
  /** Id of the last job of the page before. */
  after?: string;
  status?: JobStatus[];
  /** All of them must match. */
  labels?: Record<string, string>;
  createdAfter?: Date;
  updatedAfter?: Date;
  /** In its id, the values of its labels or the name of its model's file. */
  text?: string;
  ids?: string[];
}

/** Where a queued job stands. */
export interface QueuePlace {
  /** 1 is next. */
  position: number;
  /** `no_such_worker`: no live worker has what the job asks for. */
  reason: 'waiting_for_worker' | 'no_such_worker' | 'team_limit' | 'higher_priority';
  expectedStartSeconds: number | null;
}

export type IdempotencyStart =
  /** Go on; give the token to `finish` or `abandon`, and to `jobs.create`. */
  | { state: 'started'; token: string }
  | { state: 'replay'; statusCode: number; response: unknown }
  /**
   * The process died between creating this job and storing the answer. Answer with the job; `token` is good for
   * `finish`.
   */
  | { state: 'created'; jobId: string; token: string }
  | { state: 'in_flight' }
  | { state: 'mismatch' };
