import type { JobBrief, JobRecord, QueuedJob, QueuePlace } from '../../database/records.js';
import type { Database } from '../../database/repositories.js';
import type { JobStatus } from '../../jobs/tasks.js';
import { presentJob, type JobView } from './schema.js';

const FINISHED: ReadonlySet<JobStatus> = new Set<JobStatus>(['succeeded', 'failed', 'canceled']);

export const isFinished = (job: Pick<JobRecord, 'status'>): boolean => FINISHED.has(job.status);

/** Only a queued job has a place, so only then is there a question to the database. */
export const placeOf = async (
  database: Database,
  job: QueuedJob & Pick<JobRecord, 'status'>,
): Promise<QueuePlace | null> => (job.status === 'queued' ? database.jobs.place(job) : null);

/** Artifacts come with the job's end. */
export async function viewJob(database: Database, job: JobRecord, known?: QueuePlace | null): Promise<JobView> {
  const [place, artifacts] = await Promise.all([
    known === undefined ? placeOf(database, job) : known,
    isFinished(job) ? database.artifacts.list(job.teamId, job.id) : [],
  ]);
  return presentJob(job, place, artifacts ?? []);
}

/** Seconds that a client may leave the job alone: a tenth of what is left, within bounds; none once it has ended. */
export function retryAfterSeconds(job: JobBrief, place: QueuePlace | null): number | null {
  if (isFinished(job)) return null;
  const distance = job.progress.etaSeconds ?? place?.expectedStartSeconds ?? (place?.position ?? 1) * 10;
  return Math.min(60, Math.max(1, Math.ceil(distance / 10)));
}
