import { serializeError, InfrastructureError, InputError } from '../../errors.js';
import type { DatabaseContext } from '../context.js';
import {
  countDeviceTime,
  endIfCanceled,
  endJob,
  lockJob,
  lockRunningTask,
  putBack,
  settleClock,
} from '../job-state.js';
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

  /** Only the running clock counts: time in the queue never does. */
  async function overdue(): Promise<string[]> {
    const rows = await prisma.$queryRaw<{ id: string }[]>`
      select (select id from tasks where job_id = jobs.id limit 1) as id from jobs
      where status = 'running' and deadline_seconds < running_seconds
        + case when clock_running then extract(epoch from clock_timestamp() - clock_at) else 0 end
      limit ${BATCH}`;
    return rows.map((row) => row.id);
  }

  function endOverdue(taskId: string): Promise<boolean> {
    return transaction(async (tx) => {
      const before = await lockJob(tx, { taskId });
      if (before === null || before.status !== 'running') return false;
      await settleClock(tx, before.id);
      const job = await tx.job.findUniqueOrThrow({ where: { id: before.id } });
      if (job.deadlineSeconds === null || job.runningSeconds < job.deadlineSeconds) return false;
      const late = new InputError('deadline_exceeded', `the job ran for more than ${job.deadlineSeconds} seconds`);
      await endJob(tx, job, { status: 'failed', error: serializeError(late) });
      return true;
    });
  }
}

async function count<T>(items: T[], change: (item: T) => Promise<boolean>): Promise<number> {
  let changed = 0;
  for (const item of items) if (await change(item)) changed++;
  return changed;
}
