import { InputError } from '../errors.js';
import { jobPrefix } from '../jobs/files.js';
import { needsOf } from '../jobs/lanes.js';
import { FIRST_TASK, phaseOf } from '../jobs/next-tasks.js';
import type { DatabaseContext, Tx } from './context.js';
import { type Job, Prisma } from './generated/client.js';
import { holdInputs } from './hold-inputs.js';
import { newId } from './ids.js';
import { jobRecord, priorityNumber } from './job-record.js';
import { addEvent, addTasks, endIfCanceled, lockJob, workIsGone } from './job-state.js';
import { queueBoard } from './queue-board.js';
import type { JobFilter, JobInputs, NewJob } from './records.js';
import type { JobRepository } from './repositories.js';
import { withQuickTries } from './trouble.js';

const FINISHED: Job['status'][] = ['succeeded', 'failed', 'canceled'];

/** More submissions of a team than this are never under way at once (every one holds a database connection). */
const IN_FLIGHT = 1000;

export function jobRepository(context: DatabaseContext): JobRepository {
  const { prisma, settings, transaction } = context;
  const board = queueBoard(context);

  const read = async (tx: Tx, jobId: string) => jobRecord(await tx.job.findUniqueOrThrow({ where: { id: jobId } }));

  /** Two requests of a team cannot both take the last place. */
  const lockTeam = (tx: Tx, teamId: string) =>
    tx.$queryRaw`select id from teams where id = ${teamId} for no key update`;

  function refuseTooMany(open: number, allowed: number): void {
    if (open < allowed) return;
    throw new InputError(
      'limit_exceeded',
      `MAX_QUEUED_JOBS: the team has ${open} jobs queued or running, ${allowed} are allowed`,
    );
  }

  async function openJobsAllowed(tx: Tx, teamId: string): Promise<number> {
    const team = await tx.team.findUnique({ where: { id: teamId }, select: { maxQueuedJobs: true } });
    return team?.maxQueuedJobs ?? settings.MAX_QUEUED_JOBS;
  }

  /** Everything in one statement: submitting is what clients do most, and every round trip counts. */
  async function insert(
    tx: Tx,
    id: string,
    teamId: string,
    job: NewJob,
    margin: number,
  ): Promise<{ open: number; allowed: number; made: boolean }> {
    const needs = needsOf(job.spec);
    const [outcome] = await tx.$queryRaw<{ open: number; allowed: number; made: boolean }[]>`
      with open as (
        select (select count(*)::int from jobs where team_id = ${teamId} and status in ('queued', 'running', 'canceling')) as n,
          coalesce(max_queued_jobs, ${settings.MAX_QUEUED_JOBS}) as allowed
        from teams where id = ${teamId}
      ), job as (
        insert into jobs (id, team_id, spec, inputs, labels, priority, deadline_seconds, needs, traceparent)
        select ${id}, ${teamId}, ${JSON.stringify(job.spec)}::jsonb, ${JSON.stringify(job.inputs)}::jsonb,
          ${JSON.stringify(job.labels)}::jsonb, ${priorityNumber(job.priority)}, ${job.deadlineSeconds}::float8,
          ${needs === null ? null : JSON.stringify(needs)}::jsonb,
          ${job.traceparent ?? null}
        from open where n < allowed - ${margin} returning id, team_id, labels
      ), used as (
        insert into usage (team_id, day, job_id, labels, jobs)
        select team_id, (clock_timestamp() at time zone 'UTC')::date, id, labels, 1 from job
      ), task as (
        insert into tasks (id, team_id, job_id, kind) select ${newId('tsk')}, team_id, id, ${FIRST_TASK.kind} from job
      ), event as (
        insert into events (team_id, job_id, type, data)
        select team_id, id, 'job.created', ${JSON.stringify({ priority: job.priority })}::jsonb from job
      )
      select n as open, allowed, exists (select from job) as made from open`;
    return outcome ?? { open: 0, allowed: 0, made: false };
  }

  async function holdIdempotency(tx: Tx, id: string, teamId: string, token: string): Promise<void> {
    const held = await tx.idempotencyKey.updateMany({ where: { teamId, token }, data: { jobId: id } });
    if (held.count > 0) return;
    throw new InputError(
      'idempotency_in_flight',
      'this request took so long that another one with its idempotency key took over',
    );
  }

  async function refuseLostInputs(tx: Tx, teamId: string, inputs: JobInputs): Promise<void> {
    const gone = await holdInputs(tx, teamId, inputs);
    if (gone.length === 0) return;
    throw new InputError(
      'conflict',
      `the job cannot run: its ${gone.join(' and ')} ${gone.length > 1 ? 'are' : 'is'} not stored any more ` +
        `(UPLOAD_TTL_DAYS = ${settings.UPLOAD_TTL_DAYS}); send what is missing again and submit a new job`,
      { faults: gone.map((part) => ({ pointer: `/${part}`, detail: 'is not stored any more' })) },
    );
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
    create(teamId, job) {
      const id = newId('job');
      return withQuickTries((attempt) =>
        transaction(async (tx) => {
          // The commit of the try before may have gone through although its answer was lost.
          const before = attempt === 1 ? null : await tx.job.findUnique({ where: { id } });
          if (before !== null) return jobRecord(before);
          // Far from the limit there is nothing to argue about; near it, requests of a team go one after the other.
          if (!(await insert(tx, id, teamId, job, IN_FLIGHT)).made) {
            await lockTeam(tx, teamId);
            const { open, allowed, made } = await insert(tx, id, teamId, job, 0);
            if (!made) refuseTooMany(open, allowed);
          }
          // They may have expired while they were checked.
          await refuseLostInputs(tx, teamId, job.inputs);
          if (job.idempotencyToken !== undefined) await holdIdempotency(tx, id, teamId, job.idempotencyToken);
          return read(tx, id);
        }),
      );
    },

    async get(teamId, jobId) {
      const job = await prisma.job.findUnique({ where: { id: jobId, teamId } });
      return job === null ? null : jobRecord(job);
    },

    async list(teamId, filter) {
      const ids = await prisma.$queryRaw<{ id: string }[]>`
        select id from jobs where ${Prisma.join(await conditions(prisma, teamId, filter), ' and ')}
        order by seq desc limit ${filter.limit + 1}`;
      const wanted = ids.slice(0, filter.limit).map((row) => row.id);
      const jobs = await prisma.job.findMany({ where: { id: { in: wanted }, teamId }, orderBy: { seq: 'desc' } });
      return { data: jobs.map(jobRecord), hasMore: ids.length > filter.limit };
    },

    requestCancel: (teamId, jobId) =>
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
        await refuseLostInputs(tx, teamId, jobRecord(job).inputs);
        const [work] = await tx.$queryRaw<{ gone: boolean }[]>`
          select ${workIsGone(settings)} as gone from jobs where id = ${jobId}`;
        if (work?.gone !== false) await startAnew(tx, job);
        await tx.$executeRaw`
          update tasks set state = 'waiting', attempt = attempt + 1, failures = 0, fraction = 0, error = null, finished_at = null,
            worker_id = null, claim_token = null, lease_until = null, not_before = clock_timestamp()
          where job_id = ${jobId} and state in ('failed', 'canceled')`;
        await tx.$executeRaw`
          update layers set row = row || '{"status": "waiting", "reason": null, "worker_id": null, "attempt": null}'::jsonb
          where job_id = ${jobId} and row->>'decision' is distinct from 'dense'
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

async function conditions(tx: Tx, teamId: string, filter: JobFilter): Promise<Prisma.Sql[]> {
  const all = [Prisma.sql`team_id = ${teamId}`];
  if (filter.status !== undefined) all.push(Prisma.sql`status::text = any(${filter.status})`);
  if (filter.labels !== undefined) all.push(Prisma.sql`labels @> ${JSON.stringify(filter.labels)}::jsonb`);
  if (filter.createdAfter !== undefined) all.push(Prisma.sql`created_at > ${filter.createdAfter}`);
  if (filter.after !== undefined) {
    const last = await tx.job.findUnique({ where: { id: filter.after, teamId }, select: { seq: true } });
    if (last === null) {
      const detail = 'the job that the cursor names is not there (any more)';
      throw new InputError('invalid_request', detail, { faults: [{ pointer: '/after', detail }] });
    }
    all.push(Prisma.sql`seq < ${last.seq}`);
  }
  return all;
}
