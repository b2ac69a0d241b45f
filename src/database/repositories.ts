import type { SerializedError } from '../errors/index.js';
import type { Offer } from '../scheduling/worker-classes.js';
import type { LayerRow } from '../jobs/results.js';
import type { Assignment, NetworkNode, StepFile, StepResult } from '../jobs/tasks.js';
import type {
  Actor,
  ArtifactRecord,
  AuditAction,
  AuditFilter,
  AuditRecord,
  Backlog,
  ClaimedDelivery,
  DeliveryAttempt,
  DeliveryRecord,
  DeliveryState,
  DigestedPage,
  EventRecord,
  IdempotencyStart,
  JobBrief,
  JobFilesInUse,
  JobFilter,
  JobRecord,
  JobRow,
  KeyRecord,
  NeededFile,
  NeededKind,
  NewJob,
  Page,
  PoolMoment,
  PoolOverview,
  QueuedJob,
  QueuePlace,
  StartErrors,
  Scope,
  SweepHold,
  SweepHolds,
  StoredKey,
  TaskRecord,
  TeamLimits,
  TeamRecord,
  TeamUsage,
  UploadRecord,
  UsageQuery,
  UsageRow,
  WorkerRecord,
} from './records.js';

/**
 * The port to PostgreSQL. Every client-facing method takes the team first and sees nothing of another team (a foreign id is
 * `null`, like a missing one). Connection trouble is `InfrastructureError('unavailable')` after a few quick tries.
 */

export interface TeamRepository {
  /** @throws InputError conflict when another team has the name */
  create(team: { name: string; weight: number; limits: Partial<TeamLimits> }, by?: Actor): Promise<TeamRecord>;
  get(teamId: string): Promise<TeamRecord | null>;
  /** Oldest first. */
  list(page: { after?: string; limit: number }): Promise<Page<TeamRecord>>;
  /** What is not given stays. @throws InputError conflict when another team has the name */
  update(
    teamId: string,
    change: { name?: string; weight?: number; limits?: Partial<TeamLimits> },
    by?: Actor,
  ): Promise<TeamRecord | null>;
  /**
   * Removing a team: its keys are revoked. False: there is none. Then `clear` until nothing is left, then `drop`.
   * @throws InputError conflict while jobs of it have not ended, unless those are to be canceled
   */
  close(teamId: string, options: { cancelJobs: boolean }, by?: Actor): Promise<boolean>;
  /** Removes up to `limit` of its jobs and uploads each; returns their files, for the caller to delete. */
  clear(teamId: string, limit: number): Promise<{ prefixes: string[]; keys: string[] }>;
  drop(teamId: string): Promise<void>;
  usage(teamId: string): Promise<TeamUsage>;
  /** Bytes that the team may still store, and those of its largest upload. */
  storageRoom(teamId: string): Promise<{ left: number; largest: number }>;
}

export interface UsageRepository {
  /** Sums over a team, or over all teams with null. In the order of the groups. */
  sum(teamId: string | null, query: UsageQuery): Promise<UsageRow[]>;
}

export interface KeyRepository {
  /** Hash: hex sha256 of the whole key. Revoked and expired keys are not found. */
  findByHash(hash: string): Promise<StoredKey | null>;
  /** The same by its id. */
  findById(keyId: string): Promise<StoredKey | null>;
  /** All of these that there are, in one query. */
  findTogether(wanted: { hashes: string[]; ids: string[] }): Promise<StoredKey[]>;
  /** An existing key with this hash and team stays as it is and is returned. */
  create(
    teamId: string,
    key: { hash: string; prefix: string; name: string; scopes: Scope[]; expiresAt?: Date | null },
    by?: Actor,
  ): Promise<KeyRecord>;
  /** Oldest first, those that are revoked or have expired too. */
  list(teamId: string, page: { after?: string; limit: number }): Promise<Page<KeyRecord>>;
  get(teamId: string, keyId: string): Promise<KeyRecord | null>;
  /** From the next request on, nobody gets in with it. */
  revoke(teamId: string, keyId: string, by?: Actor): Promise<KeyRecord | null>;
  /** Notes that a key was used; at most one write a minute. */
  touch(key: Pick<KeyRecord, 'id' | 'lastUsedAt'>): Promise<void>;
}

/** What was done to keys and teams, and by admins to what is another's. Those methods write it with what they do. */
export interface AuditRepository {
  /** Of what changes no rows. */
  note(deed: { action: AuditAction; teamId: string | null; subject: string }, by: Actor): Promise<void>;
  /** Newest first. */
  list(filter: AuditFilter): Promise<Page<AuditRecord>>;
}

export interface UploadRepository {
  /**
   * Same team and content: the first one is kept, its expiry renewed, and returned with `created: false`
   * (the caller then deletes the second file, unless the keys are equal).
   * @throws InputError limit_exceeded (storage_bytes)
   */
  create(
    teamId: string,
    upload: { sha256: string; key: string; bytes: number; filename: string },
  ): Promise<{ upload: UploadRecord; created: boolean }>;
  get(teamId: string, uploadId: string): Promise<UploadRecord | null>;
  findByHash(teamId: string, sha256: string): Promise<UploadRecord | null>;
  /** Those that are there, in any order: named by id, or by content as `sha256:<hex>`. */
  find(teamId: string, names: string[]): Promise<UploadRecord[]>;
  /** Returns its storage key, for the caller to delete. @throws InputError conflict while a job that has not ended reads it */
  remove(teamId: string, uploadId: string): Promise<{ key: string } | null>;
}

export type CancelOutcome = { job: JobRecord; changed: boolean };

export interface JobRepository {
  /** Job, its first task and its first event, all or nothing. @throws InputError limit_exceeded (queued_jobs) */
  create(teamId: string, job: NewJob): Promise<JobRecord>;
  get(teamId: string, jobId: string): Promise<JobRecord | null>;
  /** Much cheaper than the whole job. */
  brief(teamId: string, jobId: string): Promise<JobBrief | null>;
  /** Whoever has it: for admins. */
  find(jobId: string): Promise<JobRecord | null>;
  /** Newest first; of all teams with null. */
  list(teamId: string | null, filter: JobFilter): Promise<DigestedPage<JobRecord>>;
  /** The same with little of each job: what a list shows. */
  rows(teamId: string | null, filter: JobFilter): Promise<DigestedPage<JobRow>>;
  count(teamId: string | null, filter: JobFilter): Promise<number>;
  /** What changed at `since` or later, the earliest change first, `limit` at most. */
  changes(teamId: string | null, since: Date, limit: number): Promise<JobRow[]>;
  /** The database's clock, which changes are dated by. */
  now(): Promise<Date>;
  /** That of the page. As it was after the call, whoever else asks at the moment. */
  digest(teamId: string, filter: JobFilter): Promise<string>;
  /** Those of open jobs that match, the oldest first. */
  openIds(teamId: string | null, filter: Omit<JobFilter, 'limit'>): Promise<{ ids: string[]; matched: number }>;
  /** Idempotent. `canceling` while a task runs, else `canceled` at once; a finished job stays as it is. What an admin does is noted. */
  requestCancel(teamId: string, jobId: string, admin?: Actor): Promise<CancelOutcome | null>;
  /**
   * Failed or canceled: queued again, finished tasks kept while their files are.
   * @throws InputError conflict in any other state, and when an upload that it reads is gone
   */
  retry(teamId: string, jobId: string): Promise<JobRecord | null>;
  /** Finished only. Returns the storage prefixes to delete. @throws InputError conflict while it is not finished */
  remove(teamId: string, jobId: string): Promise<{ prefixes: string[] } | null>;
  /** Where a queued job stands; as of a moment ago, because everybody who polls asks for it. */
  place(job: QueuedJob): Promise<QueuePlace>;
}

export interface PredictionRepository {
  /** What the client of a new job was told: kept for a day, of one job in some seconds. */
  note(jobId: string, expectedSeconds: number): Promise<void>;
  errors(): Promise<StartErrors[]>;
}

export interface LayerRepository {
  /** Of one point (the first), in graph order; empty before the model was inspected; null for an unknown job. */
  list(teamId: string, jobId: string, point?: number): Promise<LayerRow[] | null>;
}

export interface EventRepository {
  /** Oldest first, those with an id above `after`; null for an unknown job. */
  list(teamId: string, jobId: string, page: { after?: number; limit: number }): Promise<Page<EventRecord> | null>;
}

export interface TaskRepository {
  /** In the order in which they were made; null for an unknown job. */
  list(teamId: string, jobId: string): Promise<TaskRecord[] | null>;
  /** The graph of the network; null before the inspection, for an unknown job, and where it is too large. */
  network(teamId: string, jobId: string): Promise<NetworkNode[] | null>;
}

export interface ArtifactRepository {
  list(teamId: string, jobId: string): Promise<ArtifactRecord[] | null>;
  get(teamId: string, jobId: string, name: string): Promise<ArtifactRecord | null>;
}

export interface IdempotencyRepository {
  begin(teamId: string, key: string, bodyHash: string): Promise<IdempotencyStart>;
  /** The request still runs: nobody takes over for another two minutes. */
  hold(teamId: string, key: string, token: string): Promise<void>;
  /** False when the token is no longer in charge (it was in flight for too long and another request took over). */
  finish(
    teamId: string,
    key: string,
    token: string,
    answer: { statusCode: number; response: unknown },
  ): Promise<boolean>;
  /** The request failed before it did anything: the key may be used again. */
  abandon(teamId: string, key: string, token: string): Promise<void>;
}

export interface WebhookRepository {
  /** When the team's signing secret was made, and until when the one before it signs too; null without one. */
  secretInfo(teamId: string): Promise<{ createdAt: Date; previousUntil: Date | null } | null>;
  /** Makes `secret` the team's secret. The one before it signs for `overlapSeconds` more. */
  rotateSecret(teamId: string, secret: string, overlapSeconds: number): Promise<void>;
  /** Newest first; null for a cursor that is not there (any more). */
  list(
    teamId: string,
    filter: { limit: number; after?: string; jobId?: string; state?: DeliveryState },
  ): Promise<Page<DeliveryRecord> | null>;
  /** With its log, oldest attempt first. */
  get(teamId: string, deliveryId: string): Promise<{ delivery: DeliveryRecord; log: DeliveryAttempt[] } | null>;
  /** Sent again at once, and its schedule starts anew. @throws InputError conflict when the endpoint is disabled */
  replay(teamId: string, deliveryId: string): Promise<DeliveryRecord | null>;
  disabledEndpoints(teamId: string): Promise<{ url: string; disabledAt: Date }[]>;
  /** False when it was not disabled. Messages that came meanwhile can be replayed. */
  enableEndpoint(teamId: string, url: string): Promise<boolean>;

  /** The pool's side: up to `limit` messages that are due, for `leaseSeconds`; nobody else gets them until then. */
  claim(limit: number, leaseSeconds: number): Promise<ClaimedDelivery[]>;
  /**
   * Writes down an attempt and what follows from it. `retryInSeconds` null: there is no further one.
   * False when another claim is in charge.
   */
  record(
    claimed: Pick<ClaimedDelivery, 'id' | 'token'>,
    attempt: Omit<DeliveryAttempt, 'at'>,
    next: { verdict: 'delivered' | 'gone' | 'retry'; retryInSeconds: number | null },
  ): Promise<boolean>;
}

export interface WorkerRepository {
  /** Registers or refreshes; call it at start and every few seconds. */
  upsert(
    worker: { id: string; engine: string; device: string; threads: number; slots: number; session?: string } & Partial<
      Pick<Offer, 'class' | 'deviceMemoryBytes'> & Pick<WorkerRecord, 'trouble'>
    >,
  ): Promise<{ draining: boolean }>;
  remove(workerId: string): Promise<void>;
  /** A draining worker ends its task and takes no more, as soon as it hears of it: at its next sign of life. Null: there is no such worker that is alive. */
  drain(workerId: string, draining: boolean, by?: Actor): Promise<WorkerRecord | null>;
  /** Those that are alive: seen in the last minute, and their process, where it is known, is there. */
  list(): Promise<WorkerRecord[]>;
}

/** Who this database is, whoever opens it, and which storage is its own. */
export interface InstallationRepository {
  /** Null: no process has asked for a storage yet. */
  get(): Promise<{ id: string; storageId: string | null } | null>;
  /** The same, made now if there is none. */
  make(): Promise<{ id: string; storageId: string | null }>;
  /** Makes this storage the database's own unless it has one; returns the one that it has. */
  bindStorage(storageId: string): Promise<string>;
  /** In place of the one that it had. */
  rebindStorage(storageId: string): Promise<void>;
  sweepHolds(): Promise<SweepHolds>;
  /** Null: the sweep goes on. */
  holdSweep(what: keyof SweepHolds, hold: SweepHold | null): Promise<void>;
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
  lane: string;
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
 * The pool's side: no team argument, because the pool serves all teams. Only the relay, the reconciler and workers use it, never
 * a request of a client. Every change of a running task is fenced by `attempt`.
 */
export interface PoolRepository {
  /**
   * Takes a released task. Null: another attempt is in charge, the job has ended or is being canceled, or the worker is not to have it: drop
   * the message.
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
   * Stores the result and what follows from it (ledger, next tasks, progress, metrics, artifacts, the job's end), in one
   * transaction. False: the fence refused, and the caller deletes the files it uploaded. Calling it again is harmless.
   */
  succeed(taskId: string, attempt: number, outcome: Outcome): Promise<boolean>;
  /**
   * Errors of the input end the job; any other is tried again with backoff until TASK_ATTEMPTS. Of a running task, or of a
   * released one that could not even be claimed. `idleSeconds` here and below: what the worker waited for things that were away.
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
   * The worker's own fault: back to waiting at once for the others, and not counted while there are others in service and this has
   * not happened too often; else as `fail`.
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
  /** Puts back what was lost; `inQueue` tells whether the queue still has a released task. `onChange` is told of every change. */
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
  /** The files that must be in storage, by the rows that say so: a page in the order of their ids, or those of these ids. */
  neededFiles(
    kind: NeededKind,
    rows: { after: string; limit: number } | { ids: string[] },
  ): Promise<{ id: string; files: NeededFile[] }[]>;
}

/**
 * Topics: a job id (any visible change, a new event), `cancel:<job id>`, `worker:<worker id>` (it is to drain, or not any more), `tasks`
 * (tasks to release, or free slots), `webhooks` (messages to deliver), `team:<team id>` (a job of it changed, `team:*` one of any team), `removed:<team
 * id>` (a job is gone: its id is what it is about), and `keys` (of one or more, scopes, limits or whether they are good).
 * After a lost connection every callback is called once, since something may have been missed.
 */
export interface Notifications {
  /** Names the connection that it listens on, which is there while the process is. */
  readonly session: string;
  subscribe(topic: string, callback: (about?: string) => void): () => void;
}

/** One process is in charge of the loops that keep jobs moving, as long as it says so. */
export interface ChargeRepository {
  /** Takes the charge of a part, or keeps it; false when another process has it. */
  take(part: string, holder: string): Promise<boolean>;
  /** Whether a process has it, and about how many others look for that. */
  look(part: string): Promise<{ taken: boolean; processes: number }>;
  /** For the others to take it at once. */
  leave(part: string, holder: string): Promise<void>;
}

export interface Database {
  /** For clients that speak to PostgreSQL themselves (the queue's backend). */
  readonly url: string;
  teams: TeamRepository;
  keys: KeyRepository;
  usage: UsageRepository;
  audit: AuditRepository;
  uploads: UploadRepository;
  jobs: JobRepository;
  predictions: PredictionRepository;
  layers: LayerRepository;
  tasks: TaskRepository;
  events: EventRepository;
  artifacts: ArtifactRepository;
  idempotency: IdempotencyRepository;
  webhooks: WebhookRepository;
  workers: WorkerRepository;
  installation: InstallationRepository;
  charge: ChargeRepository;
  pool: PoolRepository;
  notifications: Notifications;
  /** Throws when PostgreSQL does not answer. */
  check(): Promise<void>;
  close(): Promise<void>;
}
