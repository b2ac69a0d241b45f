import type { Config } from '../../config/index.js';
import type { Prisma, PrismaClient } from '../generated/client.js';

export type Tx = Prisma.TransactionClient;

/** The settings that the SQL needs. */
export type DatabaseSettings = Pick<
  Config,
  | 'LEASE_SECONDS'
  | 'TASK_ATTEMPTS'
  | 'MAX_QUEUED_JOBS'
  | 'MAX_RUNNING_TASKS'
  | 'MAX_STORAGE_BYTES'
  | 'UPLOAD_TTL_DAYS'
  | 'ARTIFACT_TTL_DAYS'
  | 'JOB_TTL_DAYS'
  | 'WEBHOOK_TTL_DAYS'
  | 'AUDIT_TTL_DAYS'
>;

/** Runs a statement that every connection prepares once, under its name. */
export type Run = <T>(name: string, text: string, values?: unknown[]) => Promise<T[]>;

/** What every repository is made from. */
export interface DatabaseContext {
  prisma: PrismaClient;
  settings: DatabaseSettings;
  /** For what is run for every task: without the client's own work around it. */
  prepared: Run;
  /** Notifies of what a quiet transaction has committed. */
  announce: (...topics: string[]) => void;
  /** The same in one transaction. */
  inTransaction: <T>(work: (run: Run) => Promise<T>) => Promise<T>;
  /**
   * READ COMMITTED: guards are in the statements, and rows that belong together are locked in one order (job, then
   * tasks).
   */
  transaction: <T>(work: (tx: Tx) => Promise<T>) => Promise<T>;
}
