import type { SerializedError } from '../errors/index.js';
import type { ClassDepth } from '../scheduling/class-depth.js';
import type { Needs, Offer } from '../scheduling/worker-classes.js';
import type { Metrics, Point, Verdict } from '../jobs/results.js';
import type { Priority, Spec, Target } from '../jobs/spec.js';
import type { WebhookType } from '../jobs/webhook.js';
import type { JobInput, JobStatus, Phase, TaskKind, TaskState } from '../jobs/tasks.js';

export * from './audit/records.js';

/** What the repositories hand out: plain values, names as in TypeScript, times as `Date`. */

/** The team that everything belongs to until there are more. */
export const DEFAULT_TEAM = 'team_default';

/** `team:admin` is a role inside the key's own team, `admin` one over all teams. */
export const SCOPES = ['jobs:read', 'jobs:write', 'team:admin', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** Null: the setting of the service applies. */
export interface TeamLimits {
  runningTasks: number | null;
  queuedJobs: number | null;
  storageBytes: number | null;
  requestsPerMinute: number | null;
}

export interface TeamRecord {
  id: string;
  name: string;
  /** Share of the pool relative to other teams. */
  weight: number;
  limits: TeamLimits;
  createdAt: Date;
}

/** What a team has in use of that which is limited. */
export interface TeamUsage {
  runningTasks: number;
  openJobs: number;
  storageBytes: number;
}

export interface KeyRecord {
  id: string;
  teamId: string;
  /** First characters of the key, to recognise it by. */
  prefix: string;
  name: string;
  scopes: Scope[];
  createdAt: Date;
  expiresAt: Date | null;
  lastUsedAt: Date | null;
  revokedAt: Date | null;
}

/** A key that opens the service now. */
export interface UsableKey extends KeyRecord {
  /** Its team's limit. */
  requestsPerMinute: number | null;
}

export interface StoredKey extends UsableKey {
  /** Hex SHA-256 of the whole key. */
  hash: string;
}

export interface UploadRecord {
  id: string;
  teamId: string;
  /** Hex. */
  sha256: string;
  /** Where storage keeps it. */
  key: string;
  bytes: number;
  filename: string;
  createdAt: Date;
  expiresAt: Date;
}

/** Why a sweep stopped: what it would have removed that the database has never heard of, of how many files in all. */
export interface SweepHold {
  files: number;
  of: number;
  /** RFC 3339 */
  since: string;
}

export type SweepHolds = Partial<Record<'jobs' | 'uploads', SweepHold>>;

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

export interface ArtifactRecord {
  name: string;
  key: string;
  bytes: number;
  sha256: string;
  contentType: string;
  createdAt: Date;
  expiresAt: Date;
}

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

export const DELIVERY_STATES = ['pending', 'delivered', 'failed', 'disabled'] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** A message about a job's end on its way to an endpoint. */
export interface DeliveryRecord {
  /** The `webhook-id`, the same at every attempt. */
  id: string;
  teamId: string;
  jobId: string;
  url: string;
  type: WebhookType;
  state: DeliveryState;
  attempts: number;
  nextAt: Date | null;
  createdAt: Date;
  finishedAt: Date | null;
}

export interface DeliveryAttempt {
  at: Date;
  /** Null when there was no answer; then `error` says why. */
  status: number | null;
  error: string | null;
  durationMs: number;
  /** The beginning of the answer. */
  snippet: string | null;
}

/** A job as it was when it ended. */
export interface EndedJob {
  job: JobRecord;
  artifacts: ArtifactRecord[];
}

export interface ClaimedDelivery {
  id: string;
  teamId: string;
  jobId: string;
  url: string;
  type: WebhookType;
  /** When the job ended. */
  createdAt: Date;
  ended: EndedJob;
  /** Failed attempts before this one. */
  tries: number;
  /** Fencing token of this claim. */
  token: string;
  /** All secrets that sign now, the newest first. */
  secrets: string[];
}

export interface Page<T> {
  data: T[];
  hasMore: boolean;
}

export interface DigestedPage<T> extends Page<T> {
  /** Another one when any job on the page changed, or others are on it. */
  digest: string;
}

export interface NewJob {
  spec: Spec;
  inputs: JobInputs;
  labels: Record<string, string>;
  priority: Priority;
  deadlineSeconds: number | null;
  /** W3C trace context of the request. */
  traceparent?: string | null;
  /** Stored with the job in the same transaction, so that a crash before `idempotency.finish` cannot make a second job. */
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

/** Where a queued job stands. */
export interface QueuePlace {
  /** 1 is next. */
  position: number;
  /** `no_such_worker`: no live worker has what the job asks for. */
  reason: 'waiting_for_worker' | 'no_such_worker' | 'team_limit' | 'higher_priority';
  expectedStartSeconds: number | null;
}

/** Live workers that have the same to offer. */
export interface LaneRecord extends Offer {
  lane: string;
  workers: number;
  slots: number;
  running: number;
  released: number;
}

/** Jobs that started in the last hour, by how far off was what they were told. */
export interface StartErrors {
  /** At most this part of the wait, and more than the one before. */
  error: '0.10' | '0.25' | '0.50' | '1.00' | 'more';
  /** Than told. */
  direction: 'earlier' | 'later';
  count: number;
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
  lanes: LaneRecord[];
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

export type IdempotencyStart =
  /** Go on; give the token to `finish` or `abandon`, and to `jobs.create`. */
  | { state: 'started'; token: string }
  | { state: 'replay'; statusCode: number; response: unknown }
  /** The process died between creating this job and storing the answer. Answer with the job; `token` is good for `finish`. */
  | { state: 'created'; jobId: string; token: string }
  | { state: 'in_flight' }
  | { state: 'mismatch' };
