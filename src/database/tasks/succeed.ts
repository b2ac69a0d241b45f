import type { DatabaseContext } from '../connection/context.js';
import { addDelivery } from '../jobs/webhook-outbox.js';
import type { FinishedTask } from '../../jobs/tasks.js';
import {
  addIdleSeconds,
  countDeviceTime,
  endIfCanceled,
  lockJob,
  lockRunningTask,
  NO_LAYER,
  NO_POINT,
  settleClock,
} from '../jobs/job-state.js';
import { letHeldTasksGo } from '../jobs/recompute.js';
import type { Claimed, PoolRepository } from '../repositories.js';
import { consequences, type TaskOfJob } from './consequences.js';

/** What `sparank_succeed_task` answers; see there. */
type Answer = 'kept' | 'repeated' | 'refused' | 'stopping' | 'held';

export function succeed({
  prepared,
  prisma,
  transaction,
  announce,
  settings,
}: DatabaseContext): PoolRepository['succeed'] {
  return async (taskId, attempt, outcome) => {
    if (outcome.idleSeconds !== undefined) await addIdleSeconds(prisma, { id: taskId, attempt }, outcome.idleSeconds);
    const { claimed } = outcome;
    let answer = claimed === undefined ? 'held' : await keep(fromClaim(claimed));
    if (answer === 'held') {
      const task = await read(taskId, attempt);
      if (task === undefined) return false;
      answer = await keep(task);
    }
    if (answer === 'stopping') await stop(taskId, attempt);
    return answer === 'kept' || answer === 'repeated';

    function keep(task: TaskOfJob): Promise<Answer> {
      const end = JSON.stringify(consequences(task, outcome, settings.ARTIFACT_TTL_DAYS));
      return (task.kind === 'evaluate' && task.notifies) || task.holds ? withMore(task, end) : commit(task, end);
    }
  };

  /**
   * What the consequences depend on. But for the tasks that are held none of it changes while the task has this
   * attempt.
   */
  async function read(taskId: string, attempt: number): Promise<TaskOfJob | undefined> {
    const [task] = await prepared<TaskOfJob>(
      'task to commit',
      `select t.id, t.job_id as "jobId", t.team_id as "teamId", t.attempt, t.kind, t.layer, t.point, t.worker_id as "workerId",
        extract(epoch from clock_timestamp() - t.started_at)::float8 as seconds,
        coalesce(jsonb_array_length(j.spec->'targets'), 1) as targets, j.spec->'effort' as effort,
        (select result->'expected' from tasks where job_id = j.id and kind = 'inspect') as expected, j.spec->'webhook' is not null as notifies,
        case when t.kind in ('inspect', 'layer', 'evaluate') then
          (select result from tasks where job_id = j.id and kind = 'plan' and state = 'succeeded') end as plan,
        exists (select from tasks where job_id = j.id and state = 'canceled') as holds
      from tasks t join jobs j on j.id = t.job_id where t.id = $1 and t.attempt = $2`,
      [taskId, attempt],
    );
    return task;
  }

  async function commit({ id, jobId, teamId, attempt }: TaskOfJob, end: string): Promise<Answer> {
    const [row] = await prepared<{ answer: Answer }>(
      'succeed',
      `select sparank_succeed_task($1, $2, $3) as answer from set_config('sparank.quiet', 'on', true)`,
      [id, attempt, end],
    );
    if (row?.answer === 'kept') announce('tasks', jobId, `team:${teamId}`);
    return row?.answer ?? 'refused';
  }

  /** The message about the job's end is recorded with it, and what is held goes on. */
  function withMore({ id, jobId, kind, attempt, notifies, holds }: TaskOfJob, end: string): Promise<Answer> {
    return transaction(async (tx) => {
      const job = holds ? await lockJob(tx, { taskId: id }) : null;
      const [row] = await tx.$queryRaw<{ answer: Answer }[]>`
        select sparank_succeed_task(${id}, ${attempt}, ${end}::jsonb) as answer`;
      if (row?.answer === 'kept' && kind === 'evaluate' && notifies) await addDelivery(tx, jobId, 'job.succeeded');
      if (row?.answer === 'kept' && job !== null) await letHeldTasksGo(tx, job);
      return row?.answer ?? 'refused';
    });
  }

  /** The job is canceled, or has failed: the result comes too late. */
  function stop(taskId: string, attempt: number): Promise<void> {
    return transaction(async (tx) => {
      const job = await lockJob(tx, { taskId });
      const task = job === null ? null : await lockRunningTask(tx, taskId, attempt);
      if (job === null || task === null) return;
      await countDeviceTime(tx, task, 'now');
      await tx.task.update({ where: { id: taskId }, data: { state: 'canceled', finishedAt: new Date() } });
      await settleClock(tx, job.id);
      if (job.status === 'canceling') await endIfCanceled(tx, job);
    });
  }
}

/** The same from what the claim said: nothing of it is read again. */
function fromClaim({ assignment, workerId, seconds }: Claimed): TaskOfJob {
  const { taskId, jobId, teamId, attempt, kind, layer, point, spec, finished } = assignment;
  const plan = finished.find((step): step is FinishedTask<'plan'> => step.kind === 'plan')?.result ?? null;
  const inspected = finished.find((step): step is FinishedTask<'inspect'> => step.kind === 'inspect')?.result;
  return {
    id: taskId,
    jobId,
    teamId,
    attempt,
    kind,
    layer: layer ?? NO_LAYER,
    point: point ?? NO_POINT,
    workerId,
    seconds,
    targets: spec.targets?.length ?? 1,
    effort: spec.effort ?? null,
    expected: inspected?.expected ?? null,
    notifies: (spec.webhook ?? null) !== null,
    plan,
    holds: false,
  };
}
