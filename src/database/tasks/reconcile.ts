import { serializeError } from '../../errors/classify.js';
import { InfrastructureError, InputError } from '../../errors/index.js';
import type { DatabaseContext } from '../connection/context.js';
import type { Job, Task } from '../generated/client.js';
import {
  countDeviceTime,
  endIfCanceled,
  endJob,
  lockJob,
  lockRunningTask,
  NO_LAYER,
  requeueTask,
} from '../jobs/job-state.js';
import type { PoolRepository, Reconciled, ReleasableTask } from '../repositories.js';
import { endAttempt } from './fail.js';

/** A task just released may not have reached the queue yet. */
const RELEASE_GRACE_SECONDS = 3;
const BATCH = 200;

/** Every change is its own guarded transaction, so several reconcilers at once do no harm. */
export function reconcile(context: DatabaseContext): PoolRepository['reconcile'] {
  const { prisma, settings, transaction } = context;

  return async (inQueue, onChange = () => undefined) => {
    /** How many of them were changed. */
    async function change<T>(
      what: Reconciled['what'],
      items: T[],
      work: (item: T) => Promise<Changed | null>,
    ): Promise<number> {
      let changed = 0;
      for (const item of items) {
        const done = await work(item);
        if (done === null) continue;
        changed++;
        onChange({ what, ...done });
      }
      return changed;
    }
    return {
      expiredLeases: await change('expiredLeases', await expiredLeases(), expireLease),
      canceled: await change('canceled', await canceling(), finishCancel),
      deadlines: await change('deadlines', await overdue(), endOverdue),
      // Last, because it fails while the queue does not answer.
      lostFromQueue: await change('lostFromQueue', await longReleased(), async (task) =>
        (await inQueue(task)) ? null : releaseAgain(task),
      ),
    };
  };

  /** While PostgreSQL was down nobody could renew a lease: they count from its start. */
  function expiredLeases(): Promise<Omit<ReleasableTask, 'workerClass'>[]> {
    return prisma.$queryRaw`
      select id as "taskId", attempt from tasks
      where state = 'running' and lease_until < clock_timestamp()
        and pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => ${settings.LEASE_SECONDS})
      order by lease_until limit ${BATCH}`;
  }

  function expireLease({ taskId, attempt }: Omit<ReleasableTask, 'workerClass'>): Promise<Changed | null> {
    return transaction(async (tx) => {
      const job = await lockJob(tx, { taskId });
      const task = job === null ? null : await lockRunningTask(tx, taskId, attempt);
      if (job === null || task === null || task.leaseUntil === null || task.leaseUntil > new Date()) return null;
      await countDeviceTime(tx, task, 'last_heartbeat');
      const lost = new InfrastructureError(
        'worker_lost',
        `the worker ${task.workerId ?? ''} was lost while it ran ${task.kind}`,
      );
      await endAttempt(tx, context, { job, task }, serializeError(lost));
      return changedTask(task);
    });
  }

  function longReleased(): Promise<ReleasableTask[]> {
    return prisma.$queryRaw`
      select id as "taskId", attempt, lane as "workerClass" from tasks
      where state = 'released' and released_at < clock_timestamp() - make_interval(secs => ${RELEASE_GRACE_SECONDS})
      order by released_at limit ${BATCH}`;
  }

  /** Under a new attempt: should the old message turn up after all, nobody takes it. */
  function releaseAgain({ taskId, attempt }: ReleasableTask): Promise<Changed | null> {
    return transaction(async (tx) => {
      const job = await lockJob(tx, { taskId });
      const task = await tx.task.findFirst({ where: { id: taskId, attempt, state: 'released' } });
      if (job === null || task === null) return null;
      await requeueTask(tx, task, { failed: false, delaySeconds: 0 });
      return changedTask(task);
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

  function finishCancel(taskId: string): Promise<Changed | null> {
    return transaction(async (tx) => {
      const job = await lockJob(tx, { taskId });
      return job !== null && job.status === 'canceling' && (await endIfCanceled(tx, job)) ? changedJob(job) : null;
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

  function endOverdue(taskId: string): Promise<Changed | null> {
    return transaction(async (tx) => {
      const job = await lockJob(tx, { taskId });
      if (job === null) return null;
      const [still] = await tx.$queryRaw<{ late: boolean; started: boolean }[]>`
        select status in ('queued', 'running') and queued_at + make_interval(secs => deadline_seconds) < clock_timestamp() as late,
          started_at is not null as started
        from jobs where id = ${job.id}`;
      if (!still?.late) return null;
      const detail =
        `the job did not end within ${job.deadlineSeconds ?? ''} seconds of being accepted` +
        (still.started ? '' : ': it was waiting all the time');
      await endJob(tx, job, {
        status: 'failed',
        error: serializeError(new InputError('deadline_exceeded', detail)),
      });
      return changedJob(job);
    });
  }
}

type Changed = Omit<Reconciled, 'what'>;

const changedJob = (job: Pick<Job, 'id' | 'teamId'>): Changed => ({ jobId: job.id, teamId: job.teamId, task: null });

/** As it was before. */
const changedTask = ({ id, jobId, teamId, kind, layer, attempt, workerId }: Task): Changed => ({
  jobId,
  teamId,
  task: { id, kind, layer: layer === NO_LAYER ? null : layer, attempt, workerId },
});
