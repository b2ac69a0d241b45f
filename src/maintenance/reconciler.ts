import type { Database, Reconciled } from '../database/repositories.js';
import type { Log } from '../observability/log.js';
import { type Loop, startLoop } from './loop.js';
import type { TaskQueue } from '../queue/queue.js';

const POLL_MS = 2000;

const MEANING: Record<Reconciled['what'], string> = {
  expiredLeases: 'the lease of a task ran out: its worker was lost',
  lostFromQueue: 'a task was not in the queue any more: it is released again',
  canceled: 'a job that was being canceled has ended',
  deadlines: 'a job did not end before its deadline',
};

export interface ReconcilerDeps {
  database: Pick<Database, 'pool'>;
  queue: Pick<TaskQueue, 'has'>;
  logger: Log;
  /** Told what was put right, by what it was. */
  onReport?: (what: string, count: number) => void;
  /** @defaultValue 2000 */
  intervalMs?: number;
}

/** Puts right what a killed worker, a flushed queue or a lost message left behind. */
export function startReconciler({
  database,
  queue,
  logger,
  onReport,
  intervalMs = POLL_MS,
}: ReconcilerDeps): Pick<Loop, 'close'> {
  /** Each by itself: whoever looks for a task finds what became of it. */
  const name = ({ what, jobId, teamId, task }: Reconciled) =>
    logger.warn(
      {
        what,
        job_id: jobId,
        team_id: teamId,
        ...(task === null
          ? {}
          : {
              task_id: task.id,
              kind: task.kind,
              layer: task.layer,
              attempt: task.attempt,
              worker_id: task.workerId,
            }),
      },
      MEANING[what],
    );
  const turn = async () => {
    const report = await database.pool.reconcile((task) => queue.has(task), name);
    for (const [what, count] of Object.entries(report) as [string, number][]) onReport?.(what, count);
  };
  return startLoop('reconciler', turn, { intervalMs, logger });
}
