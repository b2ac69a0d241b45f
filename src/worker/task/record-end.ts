import { asSparankError, serializeError } from '../../errors/classify.js';
import { BugError, InfrastructureError } from '../../errors/index.js';
import type { TaskOutcome } from '../../observability/metrics.js';
import { answerOrAbort, untilItWorks } from '../backoff.js';
import { ComputeError } from '../compute/compute-process.js';
import type { Run } from './run.js';
import type { TaskDeps } from './task-deps.js';

/** Time to tell PostgreSQL of a requeued task while stopping; after it, the lease runs out by itself. */
const REQUEUE_MS = 3000;

/** Tells the database how a task ended that has no result: requeued, canceled or failed. */
export async function recordEnd(deps: TaskDeps, run: Run, error: unknown): Promise<TaskOutcome> {
  switch (run.interruption()) {
    case 'lost':
      run.log.warn('the task went to another attempt');
      return 'lost';
    case 'shutdown':
      return requeue(deps, run);
    case 'cancel':
      return canceled(deps, run);
    case null:
      return failed(deps, run, error);
  }
}

async function requeue({ database: { pool } }: TaskDeps, run: Run): Promise<TaskOutcome> {
  const { patience, log } = run;
  const { taskId, attempt } = run.assignment;
  const backoff = patience.until(AbortSignal.timeout(REQUEUE_MS));
  const requeued = await untilItWorks(
    () => answerOrAbort(pool.requeue(taskId, attempt, patience.idleSeconds), backoff.signal),
    backoff,
  );
  log.info({ requeued }, 'stopped');
  return 'handed_back';
}

async function canceled({ database: { pool }, shutdown }: TaskDeps, run: Run): Promise<TaskOutcome> {
  const { patience, log } = run;
  const { taskId, attempt } = run.assignment;
  const error = serializeError(new InfrastructureError('canceled', 'the job was canceled'));
  const end = await untilItWorks(
    () => answerOrAbort(pool.fail(taskId, attempt, error, patience.idleSeconds), shutdown),
    patience.until(shutdown),
  );
  log.info({ end }, 'canceled');
  return 'canceled';
}

async function failed(deps: TaskDeps, run: Run, error: unknown): Promise<TaskOutcome> {
  const { shutdown } = deps;
  const { patience, log } = run;
  const { taskId, attempt, kind } = run.assignment;
  const failure = error instanceof ComputeError ? error.failure : null;
  // What an unexpected error of this process says is for the log: it may name local paths.
  const told = failure?.error ?? asSparankError(error);
  const reported =
    failure === null && told.class === 'bug' ? new BugError('internal', 'the worker could not run the step') : told;
  deps.metrics.taskFailure(kind, reported.origin, reported.code);
  log.warn({ err: failure === null ? error : told, log: failure?.log, usage: failure?.usage }, 'failed');
  const own = reported.class === 'own_fault';
  if (own) {
    // Its memory, its device, and whatever it has open, go with it.
    if (failure !== null) await deps.compute.stop();
    await deps.service.leave(reported);
  }
  const { pool } = deps.database;
  const end = await untilItWorks(
    () =>
      answerOrAbort(
        pool[own ? 'requeueElsewhere' : 'fail'](taskId, attempt, serializeError(reported), patience.idleSeconds),
        shutdown,
      ),
    patience.until(shutdown),
  );
  log.info({ end }, 'failure recorded');
  return end === 'canceled' || end === 'lost' || end === 'handed_back' ? end : 'failed';
}
