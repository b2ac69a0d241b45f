import { remembered } from '../connection/remembered.js';
import type { JobBrief, JobFilter, JobRecord } from '../records.js';
import type { JobRepository, Notifications } from '../repositories.js';

const JOBS = 10_000;
const LISTS = 2_000;

/** Of a filter: whoever polls with the same one, as the same object, has it written out once. */
const names = new WeakMap<JobFilter, string>();
function nameOf(filter: JobFilter): string {
  const known = names.get(filter);
  if (known !== undefined) return known;
  const name = JSON.stringify(filter);
  names.set(filter, name);
  return name;
}

/**
 * What polls ask for, which mostly find nothing new: the little of a job that its ETag is made of, and the digest of a
 * list. A client that has seen a newer state elsewhere sends its ETag, which is another one: it is never told that an
 * older state is still the one.
 */
export function withKnownJobs(jobs: JobRepository, notifications: Pick<Notifications, 'subscribe'>): JobRepository {
  const briefs = remembered<JobBrief>(notifications, JOBS);
  const digests = remembered<{ digest: string }>(notifications, LISTS);
  const changed = <T>(jobId: string, change: Promise<T>): Promise<T> =>
    change.finally(() => {
      briefs.forget(jobId);
      digests.forget();
    });
  /** A job may be read before its notification comes: nobody is told of an older state after that. */
  const seen = (job: JobRecord | null): JobRecord | null => {
    if (job !== null && (briefs.known(job.id)?.version ?? job.version) < job.version) briefs.forget(job.id);
    return job;
  };
  return {
    ...jobs,
    get: async (teamId, jobId) => seen(await jobs.get(teamId, jobId)),
    find: async (jobId) => seen(await jobs.find(jobId)),
    async brief(teamId, jobId) {
      // Another team's question is not remembered under the name of the job.
      const brief = briefs.known(jobId) ?? (await briefs.find(jobId, [jobId], () => jobs.brief(teamId, jobId)));
      return brief?.teamId === teamId ? brief : null;
    },
    async digest(teamId, filter) {
      const key = `${teamId} ${nameOf(filter)}`;
      const known = digests.known(key);
      if (known !== undefined) return known.digest;
      const topics = [`team:${teamId}`, `removed:${teamId}`];
      const look = async () => ({ digest: await jobs.digest(teamId, filter) });
      return (await digests.find(key, topics, look))?.digest ?? '';
    },
    create: (...created) => jobs.create(...created).finally(() => digests.forget()),
    requestCancel: (teamId, jobId, admin) => changed(jobId, jobs.requestCancel(teamId, jobId, admin)),
    retry: (teamId, jobId) => changed(jobId, jobs.retry(teamId, jobId)),
    remove: (teamId, jobId) => changed(jobId, jobs.remove(teamId, jobId)),
  };
}
