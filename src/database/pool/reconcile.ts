import { serializeError, InfrastructureError, InputError } from '../../errors.js';
import type { DatabaseContext } from '../context.js';
import { countDeviceTime, endIfCanceled, endJob, lockJob, lockRunningTask, putBack } from '../job-state.js';
import type { PoolRepository, ReleasableTask } from '../repositories.js';
import { endAttempt } from './fail.js';

/** A task just released may not have reached the queue yet. */
const RELEASE_GRACE_SECONDS = 3;
const BATCH = 200;

/** Every change is its own guarded transaction, so several reconcilers at once do no harm. */
export function reconcile(context: DatabaseContext): PoolRepository['reconcile'] {
  const { prisma, settings, transaction } = context;

  return async (inQueue) => ({
    expiredLeases: await count(await expiredLeases(), expireLease),
    canceled: await count(await canceling(), finishCancel),
    deadlines: await count(await overdue(), endOverdue),
    // Last, because it fails while the queue does not answer.
    lostFromQueue: await count(await longReleased(), async (task) => !(await inQueue(task)) && releaseAgain(task)),
  });

  /** While PostgreSQL was down nobody could renew a lease: they count from its start. */
  function expiredLeases(): Promise<Omit<ReleasableTask, 'lane'>[]> {
    return prisma.$queryRaw`
      select id as "taskId", attempt from tasks
      where state = 'running' and lease_until < clock_timestamp()
        and pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => ${settings.LEASE_SECONDS})
      order by lease_until limit ${BATCH}`;
  }

  function expireLease({ taskId, attempt }: Omit<ReleasableTask, 'lane'>): Promise<boolean> {
    return transaction(async (tx) => {
      const job = await lockJob(tx, { taskId });
      const task = job === null ? null : await lockRunningTask(tx, taskId, attempt);
      if (job === null || task === null || task.leaseUntil === null || task.leaseUntil > new Date()) return false;
      await countDeviceTime(tx, task, 'last_heartbeat');
      const lost = new InfrastructureError(
        'worker_lost',
        `the worker ${task.workerId ?? ''} was lost while it ran ${task.kind}`,
      );
      await endAttempt(tx, context, job, task, serializeError(lost));
      return true;
    });
  }

  function longReleased(): Promise<ReleasableTask[]> {
    return prisma.$queryRaw`
      select id as "taskId", attempt, lane from tasks
      where state = 'released' and released_at < clock_timestamp() - make_interval(secs => ${RELEASE_GRACE_SECONDS})
      order by released_at limit ${BATCH}`;
  }

  /** Under a new attempt: should the old message turn up after all, nobody takes it. */
  function releaseAgain({ taskId, attempt }: ReleasableTask): Promise<boolean> {
    return transaction(async (tx) => {
      const job = await lockJob(tx, { taskId });
      const task = await tx.task.findFirst({ where: { id: taskId, attempt, state: 'released' } });
      if (job === null || task === null) return false;
      await putBack(tx, task, { failed: false, delaySeconds: 0 });
      return true;
    });
  }

  async function canceling(): Promise<string[]> {
    const jobs = await prisma.job.findMany({
      where: { status: 'canceling', tasks: { none: { state: 'running' } } },
      select: { tasks: { select: { id: true }, take: 1 } },
      take: BATCH,
    });
    return jobs.flatMap((job) => job.tasks.map((task) => task.id));
  }

  function finishCancel(taskId: string): Promise<boolean> {
    return transaction(async (tx) => {
      const job = await lockJob(tx, { taskId });
      return job !== null && job.status === 'canceling' && endIfCanceled(tx, job);
    });
  }

  /** A deadline is one for the client: the time in the queue counts. */
  async function overdue(): Promise<string[]> {
    const rows = await prisma.$queryRaw<{ id: string }[]>`
      select (select id from tasks where job_id = jobs.id limit 1) as id from jobs
      where deadline_seconds is not null and status in ('queued', 'running')
        and queued_at + make_interval(secs => deadline_seconds) < clock_timestamp()
      limit ${BATCH}`;
    return rows.map((row) => row.id);
  }

  function endOverdue(taskId: string): Promise<boolean> {
    return transaction(async (tx) => {
      const job = await lockJob(tx, { taskId });
      if (job === null) return false;
      const [still] = await tx.$queryRaw<{ late: boolean; started: boolean }[]>`
        select status in ('queued', 'running') and queued_at + make_interval(secs => deadline_seconds) < clock_timestamp() as late,
          started_at is not null as started
        from jobs where id = ${job.id}`;
      if (still?.late !== true) return false;
      const detail =
        `the job did not end within ${job.deadlineSeconds ?? ''} seconds of being accepted` +
        (still.started ? '' : ': it was waiting all the time');
      await endJob(tx, job, {
        status: 'failed',
        error: serializeError(new InputError('deadline_exceeded', detail)),
      });
      return true;
    });
  }
}

async function count<T>(items: T[], change: (item: T) => Promise<boolean>): Promise<number> {
  let changed = 0;
  for (const item of items) if (await change(item)) changed++;
  return changed;
}
