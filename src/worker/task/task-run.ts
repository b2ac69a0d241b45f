import { join } from 'node:path';
import { asSparankError, serializeError } from '../../errors/classify.js';
import type { SparankError } from '../../errors/index.js';
import { killPoint } from '../../fault-injection/kill-point.js';
import { workPrefix } from '../../jobs/files.js';
import type { StepFile } from '../../jobs/tasks.js';
import type { TaskOutcome } from '../../observability/metrics.js';
import { NO_TELEMETRY } from '../../observability/telemetry.js';
import type { TaskMessage } from '../../queue/queue.js';
import { answerOrAbort, Patience, untilItWorks } from '../backoff.js';
import type { ComputeProcess } from '../compute/compute-process.js';
import { fetchInputs } from './fetch-inputs.js';
import { recordEnd } from './record-end.js';
import { beginRun, type Run } from './run.js';
import type { TaskDeps } from './task-deps.js';
import { uploadOutput } from './upload.js';

type Computed = Awaited<ReturnType<ComputeProcess['run']>>;

/** The whole life of one task on this worker, from the message to the committed result. Never throws. */
export async function runTask(deps: TaskDeps, message: TaskMessage): Promise<void> {
  const logger = deps.logger.child({ task_id: message.taskId, attempt: message.attempt });
  const patience = new Patience(deps.config.OUTAGE_SECONDS * 1000, (error, wait) =>
    logger.warn({ err: error, wait_ms: wait }, 'trying again'),
  );
  try {
    const assignment = await untilItWorks(
      () =>
        answerOrAbort(
          deps.database.pool.claim(message.taskId, message.attempt, deps.workerId, deps.onDraining),
          deps.shutdown,
        ),
      patience.until(deps.shutdown),
    );
    patience.begin();
    if (assignment) await runClaimed(deps, beginRun(deps, assignment, { logger, patience }));
    else logger.debug('the message is out of date');
  } catch (error) {
    // Nothing was recorded: the lease of the task runs out, and the reconciler gives it to another attempt.
    logger.error({ err: error }, 'a task was let go');
    await letGo(deps, message, asSparankError(error)).catch((again: unknown) =>
      logger.error({ err: again }, 'not recorded either'),
    );
  }
}

/** What cannot even be claimed, or whose end cannot be recorded, must not come back for ever. */
async function letGo(deps: TaskDeps, { taskId, attempt }: TaskMessage, error: SparankError): Promise<void> {
  if (deps.shutdown.aborted) return;
  if (error.class === 'own_fault') await deps.service.leave(error);
  if (error.class === 'bug')
    await answerOrAbort(deps.database.pool.fail(taskId, attempt, serializeError(error)), deps.shutdown);
}

async function runClaimed(deps: TaskDeps, run: Run): Promise<void> {
  let outcome: TaskOutcome = 'lost';
  let committing = false;
  try {
    const computed = await compute(deps, run);
    const files = await untilItWorks(
      () => uploadOutput(deps.storage, join(run.directory, 'output'), run.prefix, run.signal),
      run.patience.until(run.signal),
    );
    killPoint('uploaded');
    run.heartbeat.deafen();
    committing = true;
    outcome = await commit(deps, run, { ...computed, files });
  } catch (error) {
    run.heartbeat.deafen();
    // Whatever was uploaded belongs to this attempt only, and goes after the task: the storage may be what does not
    // work. A commit without an answer may have been made, so its files stay: they are in use, or the janitor takes
    // them.
    try {
      outcome = await recordEnd(deps, run, error);
    } finally {
      if (!committing) await remove(deps, run, run.prefix);
    }
  } finally {
    await run.end(outcome);
  }
}

/** The step itself, in the compute process. */
async function compute(deps: TaskDeps, run: Run): Promise<Computed> {
  const { assignment, span, signal } = run;
  const request = await fetchInputs(deps, assignment, run.directory, run.patience.until(signal));
  const step = (deps.telemetry ?? NO_TELEMETRY).start(`step ${assignment.kind}`, {
    parent: span.traceparent,
    attributes: { 'sparank.engine': deps.engine },
  });
  try {
    const done = await deps.compute.run(
      request,
      signal,
      (fraction) => run.progress(fraction),
      (text) => run.log.warn({ text }, 'the step warns'),
    );
    step.end({ 'sparank.peak_bytes': done.usage.peakRssBytes });
    return done;
  } catch (error) {
    step.end({}, 'failed or stopped');
    throw error;
  }
}

/** Records the result, unless the task is no longer this attempt's. */
async function commit(
  deps: TaskDeps,
  run: Run,
  { result, usage, files }: Computed & { files: StepFile[] },
): Promise<TaskOutcome> {
  const { assignment, patience, log } = run;
  const { taskId, attempt, jobId, kind } = assignment;
  const kept = await untilItWorks(
    () =>
      answerOrAbort(
        deps.database.pool.succeed(taskId, attempt, {
          result,
          files,
          peakBytes: usage.peakRssBytes,
          idleSeconds: patience.idleSeconds,
          claimed: {
            assignment,
            workerId: deps.workerId,
            seconds: run.secondsSinceClaim() - patience.idleSeconds,
          },
        }),
        deps.shutdown,
      ),
    patience.until(deps.shutdown),
  );
  killPoint('result-committed');
  deps.service.worked();
  if (!kept) await remove(deps, run, run.prefix);
  else if (kind === 'evaluate') await remove(deps, run, workPrefix(jobId));
  log.info({ seconds: usage.seconds, peak_bytes: usage.peakRssBytes, kept }, kept ? 'done' : 'refused: too late');
  return kept ? 'succeeded' : 'refused';
}

/** What cannot be deleted now is left to the janitor. */
const remove = (deps: TaskDeps, { log }: Run, unused: string): Promise<unknown> =>
  deps.storage
    .deletePrefix(unused)
    .catch((error: unknown) => log.warn({ err: error, prefix: unused }, 'files were left'));
