import { InputError } from '../../errors/index.js';
import { beyondLimit } from '../../errors/team-limit.js';
import { needsOf } from '../../scheduling/worker-classes.js';
import { FIRST_TASK, phaseOf } from '../../jobs/next-tasks.js';
import type { DatabaseContext, Run, Tx } from '../connection/context.js';
import { inputKeys, refuseLostInputs } from './hold-inputs.js';
import { newId } from '../connection/ids.js';
import { Prisma } from '../generated/client.js';
import { jobRecord, priorityNumber } from './job-record.js';
import type { JobRecord, NewJob } from '../records.js';
import type { JobRepository } from '../repositories.js';
import { withQuickTries } from '../connection/transient-errors.js';

/** More submissions of a team than this are never under way at once (every one holds a database connection). */
const IN_FLIGHT = 1000;
/** Counting many jobs takes longer than making one: far from the limit a count serves for so long. */
const COUNT_MS = 250;

/** Open jobs of a team at a moment: no more than these and those that got a later number, in whatever team. */
interface Count {
  open: number;
  seq: number;
}

interface Outcome {
  open: number;
  /** The last number that a job had got by then. */
  openSeq: number;
  allowed: number;
  /** Storage keys of the uploads that are kept for the job. */
  held: string[];
  /** Null: no job was made. */
  seq: number | null;
  createdAt: Date | null;
}

/** The job as it was just made: reading it back would be another round trip. */
function recordOf(id: string, teamId: string, job: NewJob, { seq, createdAt }: Outcome): JobRecord | null {
  if (seq === null || createdAt === null) return null;
  return {
    id,
    seq,
    teamId,
    status: 'queued',
    phase: phaseOf(FIRST_TASK.kind),
    version: 1,
    spec: job.spec,
    inputs: job.inputs,
    labels: job.labels,
    priority: job.priority,
    needs: needsOf(job.spec),
    createdAt,
    startedAt: null,
    finishedAt: null,
    progress: { fraction: 0, layersDone: 0, layersTotal: 0, etaSeconds: null },
    seconds: { queued: 0, running: 0, device: 0 },
    deadlineSeconds: job.deadlineSeconds,
    metrics: null,
    verdict: null,
    points: null,
    error: null,
  };
}

export function refuseTooMany(open: number, allowed: number): void {
  if (open < allowed) return;
  throw beyondLimit('queued_jobs', `the team has ${open} jobs queued or running, ${allowed} are allowed`);
}

/** Two requests of a team cannot both take the last place. */
export const lockTeam = (tx: Tx, teamId: string): Promise<unknown> =>
  tx.$queryRaw`select id from teams where id = ${teamId} for no key update`;

export function createJob(context: DatabaseContext): JobRepository['create'] {
  const { prisma, prepared, settings, inTransaction, announce } = context;
  const counts = new Map<string, Count & { until: number }>();
  const lately = (teamId: string): Count | null => {
    const count = counts.get(teamId);
    return count !== undefined && performance.now() < count.until ? count : null;
  };

  return async (teamId, job) => {
    const id = newId('job');
    const made = await withQuickTries((attempt) => make(attempt, { id, teamId }, job));
    announce('tasks', `team:${teamId}`);
    return made;
  };

  async function make(
    attempt: number,
    { id, teamId }: { id: string; teamId: string },
    job: NewJob,
  ): Promise<JobRecord> {
    // The commit of the try before may have gone through although its answer was lost.
    const before = attempt === 1 ? null : await prisma.job.findUnique({ where: { id } });
    if (before !== null) return jobRecord(before);
    // Far from the limit there is nothing to argue about; near it, requests of a team go one after the other.
    const known = lately(teamId);
    const made = await insert(prepared, { id, teamId }, job, { margin: IN_FLIGHT, known });
    if (known === null) counts.set(teamId, { open: made.open, seq: made.openSeq, until: performance.now() + COUNT_MS });
    return (
      recordOf(id, teamId, job, made) ??
      inTransaction(async (run) => {
        await run('lock a team', 'select id from teams where id = $1 for no key update', [teamId]);
        const outcome = await insert(run, { id, teamId }, job, { margin: 0, known: null });
        const record = recordOf(id, teamId, job, outcome);
        if (record !== null) return record;
        refuseTooMany(outcome.open, outcome.allowed);
        refuseLostInputs(job.inputs, outcome.held, settings);
        throw new InputError(
          'idempotency_in_flight',
          'this request took so long that another one with its idempotency key took over',
        );
      })
    );
  }

  /**
   * Everything in one statement: submitting is what clients do most, and every round trip counts. The job is made when
   * there is room for it, all its uploads are held (see holdInputs) and its idempotency key is still this request's.
   *
   * A count that is known serves as long as the team is far from its limit even with all the jobs that were made since:
   * the sequence of their numbers has those of every process, also before they are committed. So only what is under way
   * at that moment can be missing, which the margin is for.
   *
   * Its commit is quiet: those that notify go one after the other, each with its own write to the disk. Nobody can
   * follow the job yet; who follows the team, and the relay, are told afterwards.
   */
  async function insert(
    run: Run,
    { id, teamId }: { id: string; teamId: string },
    job: NewJob,
    { margin, known }: { margin: number; known: Count | null },
  ): Promise<Outcome> {
    const needs = needsOf(job.spec);
    const keys = inputKeys(job.inputs);
    const token = job.idempotencyToken ?? null;
    const { text, values } = Prisma.sql`
      with quiet as materialized (
        select set_config('sparank.quiet', 'on', true) as "on"
      ), open as materialized (
        select case when ${known?.open ?? null}::int + last_value - ${known?.seq ?? null}::float8 < allowed - ${margin}
            then ${known?.open ?? null}::int
            else (select count(*)::int from jobs where team_id = ${teamId} and status in ('queued', 'running', 'canceling')) end as n,
          allowed, last_value::float8 as seq
        from jobs_seq_seq, (
          select coalesce(max_queued_jobs, ${settings.MAX_QUEUED_JOBS}) as allowed from teams where id = ${teamId}) as team
      ), renewed as (
        update uploads set expires_at = clock_timestamp() + make_interval(hours => 1)
        where team_id = ${teamId} and storage_key = any(${keys}) and expires_at < clock_timestamp() + make_interval(hours => 1)
        returning storage_key as key
      ), kept as materialized (
        select storage_key as key from uploads
        where team_id = ${teamId} and storage_key = any(${keys}) and expires_at >= clock_timestamp() + make_interval(hours => 1)
        for key share
      ), held as materialized (
        select coalesce(array_agg(distinct key), '{}') as keys from (select key from renewed union all select key from kept) as one
      ), room as materialized (
        select from quiet, open, held where quiet."on" = 'on' and n < allowed - ${margin} and keys @> ${keys}
      ), charge as (
        update idempotency_keys set job_id = ${id} from room where team_id = ${teamId} and token = ${token} returning token
      ), job as (
        insert into jobs (id, team_id, spec, inputs, labels, priority, deadline_seconds, needs, traceparent)
        select ${id}, ${teamId}, ${JSON.stringify(job.spec)}::jsonb, ${JSON.stringify(job.inputs)}::jsonb,
          ${JSON.stringify(job.labels)}::jsonb, ${priorityNumber(job.priority)}, ${job.deadlineSeconds}::float8,
          ${needs === null ? null : JSON.stringify(needs)}::jsonb, ${job.traceparent ?? null}
        from room where ${token}::text is null or exists (select from charge)
        returning id, team_id, labels, seq, created_at, priority, needs, device_seconds
      ), used as (
        insert into usage (team_id, day, job_id, labels, jobs)
        select team_id, (clock_timestamp() at time zone 'UTC')::date, id, labels, 1 from job
      ), task as (
        -- With its order, which a trigger would look up
        insert into tasks (id, team_id, job_id, kind, priority, rank, needs)
        select ${newId('tsk')}, team_id, id, ${FIRST_TASK.kind}, priority, sparank_rank(created_at, device_seconds), needs from job
      ), event as (
        insert into events (team_id, job_id, type, data)
        select team_id, id, 'job.created', ${JSON.stringify({ priority: job.priority })}::jsonb from job
      )
      select open.n as open, open.seq as "openSeq", open.allowed, held.keys as held,
        job.seq::float8 as seq, job.created_at as "createdAt"
      from open cross join held left join job on true`;
    const [outcome] = await run<Outcome>('make a job', text, values);
    return outcome ?? { open: 0, openSeq: 0, allowed: 0, held: keys, seq: null, createdAt: null };
  }
}
