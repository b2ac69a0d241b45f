import type { AuditRepository } from './audit/port.js';
import type { InstallationRepository } from './installation/port.js';
import type { IdempotencyRepository, JobRepository } from './jobs/port.js';
import type { ArtifactRepository, EventRepository, LayerRepository } from './ledger/port.js';
import type { ChargeRepository } from './maintenance/port.js';
import type { PredictionRepository } from './predictions/port.js';
import type { PoolRepository, TaskRepository } from './tasks/port.js';
import type { KeyRepository, TeamRepository } from './teams/port.js';
import type { UploadRepository } from './uploads/port.js';
import type { UsageRepository } from './usage/port.js';
import type { WebhookRepository } from './webhooks/port.js';
import type { WorkerRepository } from './workers/port.js';

/**
 * The port to PostgreSQL, by aggregate. Every client-facing method takes the team first and sees nothing of another
 * team (a foreign id is `null`, like a missing one). Transient errors are `InfrastructureError('unavailable')` after a
 * few quick tries.
 */
export type * from './audit/port.js';
export type * from './installation/port.js';
export type * from './jobs/port.js';
export type * from './ledger/port.js';
export type * from './maintenance/port.js';
export type * from './predictions/port.js';
export type * from './tasks/port.js';
export type * from './teams/port.js';
export type * from './uploads/port.js';
export type * from './usage/port.js';
export type * from './webhooks/port.js';
export type * from './workers/port.js';

/**
 * Topics: a job id (any visible change, a new event), `cancel:<job id>`, `worker:<worker id>` (it is to drain, or not
 * any more), `tasks` (tasks to release, or free slots), `webhooks` (messages to deliver), `team:<team id>` (a job of it
 * changed, `team:*` one of any team), `removed:<team id>` (a job is gone: its id is what it is about), and `keys` (of
 * one or more, scopes, limits or whether they are good). After a lost connection every callback is called once, since
 * something may have been missed.
 */
export interface Notifications {
  /** Names the connection that it listens on, which is there while the process is. */
  readonly session: string;
  subscribe(topic: string, callback: (about?: string) => void): () => void;
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
