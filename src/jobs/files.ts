import type { Assignment } from './tasks.js';

/** Where storage keeps the files of jobs. */
export const JOBS_PREFIX = 'jobs/';

/** Where storage keeps what clients send. */
export const UPLOADS_PREFIX = 'uploads/';

/** Everything of one job. */
export const jobPrefix = (jobId: string) => `${JOBS_PREFIX}${jobId}/`;

/** What the steps hand to each other; worth nothing once the job has succeeded. */
export const workPrefix = (jobId: string) => `${jobPrefix(jobId)}work/`;

/** Where the files of one attempt go: no two attempts share a key, so a late one cannot overwrite a good one. */
export function outputPrefix(task: Pick<Assignment, 'jobId' | 'taskId' | 'kind' | 'attempt'>): string {
  return task.kind === 'evaluate'
    ? `${jobPrefix(task.jobId)}artifacts/${task.attempt}/`
    : `${workPrefix(task.jobId)}${task.taskId}.${task.attempt}/`;
}

/** The job that a key of `JOBS_PREFIX` belongs to. */
export const jobOfKey = (key: string): string => key.slice(JOBS_PREFIX.length).split('/', 1)[0] ?? '';

/**
 * The task and attempt that wrote a file of a job (`evaluate` stands for the one task of that kind); null: it is in
 * none of their places.
 */
export function attemptOfKey(key: string): { task: string; attempt: number } | null {
  const [, , place = '', name = ''] = key.split('/', 4);
  if (place === 'artifacts') return /^\d+$/.test(name) ? { task: 'evaluate', attempt: Number(name) } : null;
  const parts = place === 'work' ? /^(\w+)\.(\d+)$/.exec(name) : null;
  return parts?.[1] === undefined ? null : { task: parts[1], attempt: Number(parts[2]) };
}
