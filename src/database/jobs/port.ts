import type { Actor } from '../audit/records.js';
import type { DigestedPage } from '../page.js';
import type {
  IdempotencyStart,
  JobBrief,
  JobFilter,
  JobRecord,
  JobRow,
  NewJob,
  QueuePlace,
  QueuedJob,
} from './records.js';

export type CancelOutcome = { job: JobRecord; changed: boolean };

export interface JobRepository {
  /** Job, its first task and its first event, all or nothing. @throws InputError limit_exceeded (queued_jobs) */
  create(teamId: string, job: NewJob): Promise<JobRecord>;
  get(teamId: string, jobId: string): Promise<JobRecord | null>;
  /** Much cheaper than the whole job, and mostly from memory: see `withKnownJobs`. */
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
  /** That of the page; mostly from memory: see `withKnownJobs`. */
  digest(teamId: string, filter: JobFilter): Promise<string>;
  /** Those of open jobs that match, the oldest first. */
  openIds(teamId: string | null, filter: Omit<JobFilter, 'limit'>): Promise<{ ids: string[]; matched: number }>;
  /**
   * Idempotent. `canceling` while a task runs, else `canceled` at once; a finished job stays as it is. What an admin
   * does is noted.
   */
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
