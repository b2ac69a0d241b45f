import { type SerializedError } from '../../errors/index.js';
import type { LayerRow } from '../../jobs/results.js';
import type { NewTask } from '../../jobs/next-tasks.js';
import type { DatabaseSettings, Tx } from '../connection/context.js';
import { type Job, Prisma, type Task } from '../generated/client.js';
import { newId } from '../connection/ids.js';
import type { EventType } from '../records.js';
import { addDelivery } from './webhook-outbox.js';

/**
 * The pieces that the state changes of a job are made of. All of them run inside a transaction that holds the job's row lock,
 * so the events of a job commit in the order of their numbers.
 */

export const NO_LAYER = -1;
export const NO_POINT = 0;

export const json = (value: unknown): Prisma.InputJsonValue => value as Prisma.InputJsonValue;

/** Locks the job and reads it as it is now, or null. */
export async function lockJob(
  tx: Tx,
  where: { teamId: string; jobId: string } | { taskId: string },
): Promise<Job | null> {
  const rows =
    'taskId' in where
      ? await tx.$queryRaw<{ id: string }[]>`
          select j.id from jobs j where j.id = (select job_id from tasks where id = ${where.taskId}) for no key update`
      : await tx.$queryRaw<{ id: string }[]>`
          select id from jobs where id = ${where.jobId} and team_id = ${where.teamId} for no key update`;
  const id = rows[0]?.id;
  return id === undefined ? null : tx.job.findUnique({ where: { id } });
}

/** The task, locked, while it runs at this attempt; null when the fence refuses. */
export async function lockRunningTask(tx: Tx, taskId: string, attempt: number): Promise<Task | null> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    select id from tasks where id = ${taskId} and attempt = ${attempt} and state = 'running' for no key update`;
  return rows.length === 0 ? null : tx.task.findUnique({ where: { id: taskId } });
}

export async function addEvent(tx: Tx, job: Job, type: EventType, data: Record<string, unknown> = {}): Promise<void> {
  await tx.event.create({ data: { teamId: job.teamId, jobId: job.id, type, data: json(data) } });
}

/** Recording the same task again does nothing. */
export async function addTasks(tx: Tx, job: Pick<Job, 'id' | 'teamId'>, tasks: NewTask[]): Promise<void> {
  await tx.task.createMany({
    data: tasks.map(({ kind, layer, point }) => ({
      id: newId('tsk'),
      teamId: job.teamId,
      jobId: job.id,
      kind,
      layer: layer ?? NO_LAYER,
      point: point ?? NO_POINT,
    })),
    skipDuplicates: true,
  });
}

/** Adds the time since the last change to the clock that ran, then lets the right one run. Call it after any change of tasks. */
export async function settleClock(tx: Tx, jobId: string): Promise<void> {
  await tx.$executeRaw`
    update jobs set
      queued_seconds = queued_seconds + case when clock_running then 0 else extract(epoch from clock_timestamp() - clock_at) end,
      running_seconds = running_seconds + case when clock_running then extract(epoch from clock_timestamp() - clock_at) else 0 end,
      clock_running = exists (select from tasks where job_id = jobs.id and state = 'running'),
      clock_at = clock_timestamp()
    where id = ${jobId} and finished_at is null`;
}

/** Weight of the newest value in the moving averages of what a task and a job cost. */
const AVERAGE_STEP = 0.2;

/**
 * Device time of an attempt that ends now (or ended with its last heartbeat): added to the task, the job, its team's account
 * and the usage of the day. A job that has used much lets younger ones of its team pass (sparank_rank).
 */
export async function countDeviceTime(tx: Tx, task: Task, until: 'now' | 'last_heartbeat'): Promise<void> {
  const end = until === 'now' ? Prisma.sql`clock_timestamp()` : Prisma.sql`coalesce(heartbeat_at, started_at)`;
  await tx.$executeRaw`
    with attempt as materialized (
      select id, job_id, team_id, lane, coalesce(greatest(0, extract(epoch from ${end} - started_at)), 0)::float8 as seconds
      from tasks where id = ${task.id}
    ), spent as (
      update tasks t set device_seconds = t.device_seconds + attempt.seconds from attempt where t.id = attempt.id
    ), job as (
      update jobs j set device_seconds = j.device_seconds + attempt.seconds from attempt where j.id = attempt.job_id
      returning j.id, j.team_id, j.labels, j.created_at, j.device_seconds, attempt.seconds, attempt.lane
    ), passed as (
      update tasks t set rank = sparank_rank(job.created_at, job.device_seconds) from job
      where t.job_id = job.id and t.state = 'waiting' and t.id <> ${task.id}
        and t.rank <> sparank_rank(job.created_at, job.device_seconds)
    ), account as (
      insert into team_lanes as l (team_id, lane, virtual_seconds)
      select job.team_id, job.lane, job.seconds / teams.weight from job join teams on teams.id = job.team_id
      on conflict (team_id, lane) do update set virtual_seconds = l.virtual_seconds + excluded.virtual_seconds
    ), average as (
      update teams set task_seconds = case when task_seconds = 0 then job.seconds
          else task_seconds + ${AVERAGE_STEP}::float8 * (job.seconds - task_seconds) end
      from job where teams.id = job.team_id
    )
    insert into usage as u (team_id, day, job_id, labels, tasks, device_seconds)
    select team_id, (clock_timestamp() at time zone 'UTC')::date, id, labels, 1, seconds from job
    on conflict (team_id, day, job_id) do update set tasks = u.tasks + 1, device_seconds = u.device_seconds + excluded.device_seconds`;
}

/** Ends every task of the job that has not ended. Running ones are told by their next heartbeat. */
export async function cancelOpenTasks(tx: Tx, jobId: string): Promise<void> {
  // The accounts of several lanes in the order in which the relay locks them.
  const running = await tx.task.findMany({ where: { jobId, state: 'running' } });
  for (const task of running.sort((a, b) => (a.lane < b.lane ? -1 : 1))) await countDeviceTime(tx, task, 'now');
  await tx.$executeRaw`
    update tasks set state = 'canceled', finished_at = clock_timestamp()
    where job_id = ${jobId} and state in ('waiting', 'released', 'running')`;
}

export async function endJob(
  tx: Tx,
  job: Job,
  end: { status: 'succeeded' | 'failed' | 'canceled'; error?: SerializedError },
): Promise<void> {
  await cancelOpenTasks(tx, job.id);
  await settleClock(tx, job.id);
  await tx.$executeRaw`
    update jobs set status = ${end.status}::job_status, finished_at = clock_timestamp(), clock_running = false,
      fraction = case when ${end.status} = 'succeeded' then 1 else fraction end,
      error = ${end.error === undefined ? null : JSON.stringify(end.error)}::jsonb
    where id = ${job.id}`;
  if (end.status === 'succeeded') {
    await tx.$executeRaw`
      update teams set job_seconds = case when job_seconds = 0 then device_seconds
        else job_seconds + ${AVERAGE_STEP}::float8 * (device_seconds - job_seconds) end
      from jobs where jobs.id = ${job.id} and teams.id = jobs.team_id`;
  }
  await addDelivery(tx, job.id, `job.${end.status}`);
  await addEvent(tx, job, `job.${end.status}`, end.error === undefined ? {} : { error: publicError(end.error) });
}

/** A job that is being canceled is canceled once no task of it runs. */
export async function endIfCanceled(tx: Tx, job: Job): Promise<boolean> {
  const running = await tx.task.count({ where: { jobId: job.id, state: 'running' } });
  if (running > 0) return false;
  await endJob(tx, job, { status: 'canceled' });
  return true;
}

/**
 * Whether the files that the steps of a job (`jobs`) handed to each other may be deleted. A job that failed or was
 * canceled keeps them for a retry, except when its input is at fault: then another run cannot use them.
 */
export const workIsGone = ({
  ARTIFACT_TTL_DAYS,
}: Pick<DatabaseSettings, 'ARTIFACT_TTL_DAYS'>): Prisma.Sql => Prisma.sql`(
  jobs.status = 'succeeded' or (jobs.status = 'failed' and jobs.error->>'origin' = 'input' and jobs.error->>'code' <> 'deadline_exceeded')
  or (jobs.status in ('failed', 'canceled') and jobs.finished_at < clock_timestamp() - make_interval(secs => ${ARTIFACT_TTL_DAYS * 86_400})))`;

/** Puts a task back: the next attempt waits until `delaySeconds` from now. */
export async function putBack(
  tx: Tx,
  task: Task,
  change: { failed: boolean; delaySeconds: number; error?: SerializedError },
): Promise<void> {
  await tx.$executeRaw`
    update tasks set state = 'waiting', attempt = attempt + 1, failures = failures + ${change.failed ? 1 : 0},
      not_before = clock_timestamp() + make_interval(secs => ${change.delaySeconds}),
      worker_id = null, claim_token = null, lease_until = null, fraction = 0,
      error = coalesce(${change.error === undefined ? null : JSON.stringify(change.error)}::jsonb, error)
    where id = ${task.id}`;
  await patchLayer(tx, task, { status: 'waiting', worker_id: null, attempt: null });
}

/** Changes some fields of a layer's row in the ledger of every point that compresses it; nothing for the steps that have no layer. */
export async function patchLayer(tx: Tx, task: Task, patch: Partial<LayerRow>): Promise<void> {
  if (task.layer === NO_LAYER) return;
  await tx.$executeRaw`
    update layers set row = row || ${JSON.stringify(patch)}::jsonb
    where job_id = ${task.jobId} and team_id = ${task.teamId} and index = ${task.layer}
      and row->>'decision' is distinct from 'dense'`;
}

export const publicError = ({ code, detail, origin, layer }: SerializedError) => ({ code, detail, origin, layer });
