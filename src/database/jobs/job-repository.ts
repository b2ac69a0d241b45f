import { InputError } from '../../errors/index.js';
import { jobPrefix } from '../../jobs/files.js';
import { FIRST_TASK, phaseOf } from '../../jobs/next-tasks.js';
import { noteDeed } from '../audit/audit-repository.js';
import type { DatabaseContext, Tx } from '../connection/context.js';
import { createJob, lockTeam, refuseTooMany } from './create-job.js';
import { type Job, Prisma } from '../generated/client.js';
import { holdInputs, refuseLostInputs } from './hold-inputs.js';
import { readBrief } from './job-brief.js';
import { jobLists } from './job-lists.js';
import { jobRecord, WHOLE_JOB, type WholeJob } from './job-record.js';
import { addEvent, addTasks, endIfCanceled, lockJob, workIsGone } from './job-state.js';
import { holdLaterTasks } from './recompute.js';
import { queueBoard } from './queue-board.js';
import type { JobRecord } from '../records.js';
import type { JobRepository } from '../repositories.js';

const FINISHED: Job['status'][] = ['succeeded', 'failed', 'canceled'];

export function jobRepository(context: DatabaseContext): JobRepository {
  const { prepared, settings, transaction } = context;
  const board = queueBoard(context);

  const read = async (tx: Tx, jobId: string) => jobRecord(await tx.job.findUniqueOrThrow({ where: { id: jobId } }));

  /** Of any team with null. */
  async function find(teamId: string | null, jobId: string): Promise<JobRecord | null> {
    const [job] = await prepared<WholeJob>(
      'a job',
      `select ${WHOLE_JOB.text} from jobs where id = $1 and ($2::text is null or team_id = $2)`,
      [jobId, teamId],
    );
    return job === undefined ? null : jobRecord(job);
  }

  async function openJobsAllowed(tx: Tx, teamId: string): Promise<number> {
    const team = await tx.team.findUnique({ where: { id: teamId }, select: { maxQueuedJobs: true } });
    return team?.maxQueuedJobs ?? settings.MAX_QUEUED_JOBS;
  }

  /** New tasks, so that nothing of the old ones, whose files may be going just now, is taken for theirs. */
  async function startAnew(tx: Tx, job: Job): Promise<void> {
    await tx.task.deleteMany({ where: { jobId: job.id } });
    await tx.layer.deleteMany({ where: { jobId: job.id } });
    await addTasks(tx, job, [FIRST_TASK]);
    const phase = phaseOf(FIRST_TASK.kind);
    await tx.job.update({
      where: { id: job.id },
      data: { phase, fraction: 0, layersDone: 0, layersTotal: 0, points: Prisma.DbNull },
    });
  }

  return {
    create: createJob(context),

    get: find,
    find: (jobId) => find(null, jobId),

    brief: readBrief(context),

    ...jobLists(context),

    requestCancel: (teamId, jobId, admin) =>
      transaction(async (tx) => {
        const job = await lockJob(tx, { teamId, jobId });
        if (job === null) return null;
        if (job.status !== 'queued' && job.status !== 'running') return { job: jobRecord(job), changed: false };
        await tx.job.update({ where: { id: jobId }, data: { status: 'canceling' } });
        await tx.task.updateMany({
          where: { jobId, state: { in: ['waiting', 'released'] } },
          data: { state: 'canceled', finishedAt: new Date() },
        });
        await addEvent(tx, job, 'job.canceling');
        if (admin !== undefined) await noteDeed(tx, admin, { action: 'job.canceled', teamId, subject: jobId });
        await endIfCanceled(tx, job);
        return { job: await read(tx, jobId), changed: true };
      }),

    retry: (teamId, jobId) =>
      transaction(async (tx) => {
        const job = await lockJob(tx, { teamId, jobId });
        if (job === null) return null;
        if (job.status !== 'failed' && job.status !== 'canceled') {
          throw new InputError(
            'conflict',
            `only a failed or canceled job can be tried again, this one is ${job.status}`,
          );
        }
        await lockTeam(tx, teamId);
        const open = await tx.job.count({ where: { teamId, status: { in: ['queued', 'running', 'canceling'] } } });
        refuseTooMany(open, await openJobsAllowed(tx, teamId));
        const { inputs } = jobRecord(job);
        refuseLostInputs(inputs, await holdInputs(tx, teamId, inputs), settings);
        const [work] = await tx.$queryRaw<{ gone: boolean }[]>`
          select ${workIsGone(settings)} as gone from jobs where id = ${jobId}`;
        if (work?.gone) await startAnew(tx, job);
        await tx.$executeRaw`
          update tasks set state = 'waiting', attempt = attempt + 1, failures = 0, hand_backs = 0, idle_seconds = 0, fraction = 0, error = null, finished_at = null,
            worker_id = null, claim_token = null, lease_until = null, not_before = clock_timestamp()
          where job_id = ${jobId} and state in ('failed', 'canceled')`;
        await holdLaterTasks(tx, jobId);
        await tx.$executeRaw`
          update layers set row = row || '{"status": "waiting", "reason": null, "worker_id": null, "attempt": null}'::jsonb
          where job_id = ${jobId} and coalesce(row->>'decision', '') not in ('dense', 'dropped')
            and index in (select layer from tasks where job_id = ${jobId} and state = 'waiting')`;
        await tx.$executeRaw`
          update jobs set status = 'queued', error = null, started_at = null, finished_at = null, running_seconds = 0,
            clock_running = false, clock_at = clock_timestamp(), queued_at = clock_timestamp()
          where id = ${jobId}`;
        await addEvent(tx, job, 'job.retried');
        return read(tx, jobId);
      }),

    remove: (teamId, jobId) =>
      transaction(async (tx) => {
        const job = await lockJob(tx, { teamId, jobId });
        if (job === null) return null;
        if (!FINISHED.includes(job.status)) {
          throw new InputError('conflict', `only a finished job can be removed, this one is ${job.status}`);
        }
        await tx.job.delete({ where: { id: jobId } });
        await tx.$executeRaw`select pg_notify('sparank', ${jobId})`;
        return { prefixes: [jobPrefix(jobId)] };
      }),

    place: (job) => board.place(job),
  };
}
