import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../../config/index.js';
import type { Database } from '../../database/repositories.js';
import { asSparankError, serializeError } from '../../errors/classify.js';
import { BugError, InfrastructureError, InputError, type SparankError } from '../../errors/index.js';
import { outputPrefix, workPrefix } from '../../jobs/files.js';
import type { Assignment } from '../../jobs/tasks.js';
import { killPoint } from '../../fault-injection/kill-point.js';
import type { Metrics, TaskOutcome } from '../../observability/metrics.js';
import type { FilesNeeded } from '../../pipeline/step.js';
import type { TaskMessage } from '../../queue/queue.js';
import { NO_TELEMETRY, type Telemetry } from '../../observability/telemetry.js';
import type { Storage } from '../../storage/storage.js';
import type { InService } from '../in-service.js';
import { answerOrAbort, Patience, untilItWorks, type Backoff } from '../backoff.js';
import type { StepRequest } from '../compute/child/protocol.js';
import { ComputeError, type ComputeProcess } from '../compute/compute-process.js';
import type { FileCache } from './file-cache.js';
import { Heartbeat } from './heartbeat.js';
import { lostFiles } from './lost-files.js';
import { uploadOutput } from './upload.js';

/** Why a running task was taken from its worker. */
export type Interruption = 'lost' | 'cancel' | 'shutdown';

export interface TaskDeps {
  config: Config;
  database: Pick<Database, 'pool' | 'notifications'>;
  storage: Storage;
  cache: FileCache;
  compute: Pick<ComputeProcess, 'run' | 'stop'>;
  filesNeeded: FilesNeeded;
  metrics: Pick<Metrics, 'task' | 'taskFailure'>;
  telemetry?: Telemetry;
  /** The matrix engine's name, for the metrics. */
  engine: string;
  limits: StepRequest['limits'];
  threads: number;
  workerId: string;
  /** This process's scratch directory. */
  scratch: string;
  logger: Logger;
  service: Pick<InService, 'leave' | 'worked'>;
  /** Told when the database knows before the worker does that it drains. */
  onDraining?: () => void;
  /** Aborted when the time for a clean stop is over. */
  shutdown: AbortSignal;
}

/** Time to tell PostgreSQL of a handed-back task while stopping; after it, the lease runs out by itself. */
const HAND_BACK_MS = 3000;

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
    if (assignment) await runClaimed(deps, assignment, logger, patience);
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

async function runClaimed(deps: TaskDeps, assignment: Assignment, logger: Logger, patience: Patience): Promise<void> {
  const { pool, notifications } = deps.database;
  const { taskId, attempt, jobId, kind, layer, point } = assignment;
  const log = logger.child({
    job_id: jobId,
    kind,
    ...(layer === null ? {} : { layer }),
    ...(point === null ? {} : { point }),
  });
  const interrupt = new AbortController();
  let fraction = 0;
  const heartbeat = new Heartbeat({
    leaseSeconds: deps.config.LEASE_SECONDS,
    beat: () => pool.heartbeat(taskId, attempt, { fraction, idleSeconds: patience.idleSeconds }),
    onEnd: (state) => interrupt.abort(state),
    onError: (error) => log.warn({ err: error }, 'a heartbeat failed'),
  });
  const unsubscribe = notifications.subscribe(`cancel:${jobId}`, () => heartbeat.now());
  const onShutdown = () => interrupt.abort('shutdown' satisfies Interruption);
  deps.shutdown.addEventListener('abort', onShutdown);
  const directory = join(deps.scratch, `${taskId}.${attempt}`);
  const prefix = outputPrefix(assignment);
  // What cannot be deleted now is left to the janitor.
  const remove = (unused: string) =>
    deps.storage
      .deletePrefix(unused)
      .catch((error: unknown) => log.warn({ err: error, prefix: unused }, 'files were left'));
  log.info('started');
  const telemetry = deps.telemetry ?? NO_TELEMETRY;
  const span = telemetry.start(`task ${kind}`, {
    kind: 'consumer',
    parent: assignment.traceparent,
    attributes: {
      'sparank.job_id': jobId,
      'sparank.task_id': taskId,
      'sparank.attempt': attempt,
      'sparank.team_id': assignment.teamId,
      'sparank.worker_id': deps.workerId,
      ...(layer === null ? {} : { 'sparank.layer': layer }),
    },
  });
  let committing = false;
  const claimedAt = performance.now();
  const sinceClaim = () => (performance.now() - claimedAt) / 1000;
  let outcome: TaskOutcome = 'lost';
  try {
    if (deps.shutdown.aborted) onShutdown();
    const request = await fetchInputs(deps, assignment, directory, patience.until(interrupt.signal));
    const step = telemetry.start(`step ${kind}`, {
      parent: span.traceparent,
      attributes: { 'sparank.engine': deps.engine },
    });
    const { result, usage } = await deps.compute
      .run(request, interrupt.signal, (done) => (fraction = done))
      .then(
        (done) => {
          step.end({ 'sparank.peak_bytes': done.usage.peakRssBytes });
          return done;
        },
        (error: unknown) => {
          step.end({}, 'failed or stopped');
          throw error;
        },
      );
    const files = await untilItWorks(
      () => uploadOutput(deps.storage, join(directory, 'output'), prefix, interrupt.signal),
      patience.until(interrupt.signal),
    );
    killPoint('uploaded');
    heartbeat.deafen();
    committing = true;
    const kept = await untilItWorks(
      () =>
        answerOrAbort(
          pool.succeed(taskId, attempt, {
            result,
            files,
            peakBytes: usage.peakRssBytes,
            idleSeconds: patience.idleSeconds,
            claimed: { assignment, workerId: deps.workerId, seconds: sinceClaim() - patience.idleSeconds },
          }),
          deps.shutdown,
        ),
      patience.until(deps.shutdown),
    );
    killPoint('result-committed');
    deps.service.worked();
    outcome = kept ? 'succeeded' : 'refused';
    if (!kept) await remove(prefix);
    else if (kind === 'evaluate') await remove(workPrefix(jobId));
    log.info({ seconds: usage.seconds, peak_bytes: usage.peakRssBytes, kept }, kept ? 'done' : 'refused: too late');
  } catch (error) {
    heartbeat.deafen();
    const interruption = interrupt.signal.aborted ? (interrupt.signal.reason as Interruption) : null;
    // Whatever was uploaded belongs to this attempt only, and goes after the task: the storage may be what does not work. A commit without an answer may have been made, so its files stay:
    // they are in use, or the janitor takes them.
    try {
      outcome = await recordEnd(deps, assignment, { error, interruption }, { log, patience });
    } finally {
      if (!committing) await remove(prefix);
    }
  } finally {
    span.end({ 'sparank.outcome': outcome }, outcome === 'failed' || outcome === 'lost' ? outcome : undefined);
    deps.metrics.task(kind, deps.engine, outcome, sinceClaim());
    deps.shutdown.removeEventListener('abort', onShutdown);
    unsubscribe();
    // A beat that gets no answer must not hold up a stop.
    await answerOrAbort(heartbeat.stop(), deps.shutdown).catch(() => undefined);
    await rm(directory, { recursive: true, force: true }).catch((error: unknown) =>
      log.warn({ err: error }, 'scratch files were left'),
    );
  }
}

async function fetchInputs(
  deps: TaskDeps,
  assignment: Assignment,
  directory: string,
  backoff: Backoff,
): Promise<StepRequest> {
  const inputs = join(directory, 'inputs');
  const paths: Record<string, string> = {};
  const needed = deps.filesNeeded(assignment);
  if (needed.length > 0) await mkdir(inputs, { recursive: true });
  for (const file of needed) {
    if (paths[file.key] !== undefined) continue;
    const path = join(inputs, String(Object.keys(paths).length));
    paths[file.key] = path;
    try {
      await untilItWorks(() => deps.cache.fetch(file, path, backoff.signal), backoff);
    } catch (error) {
      if (backoff.signal.aborted || !(error instanceof InputError)) throw error;
      throw await lostFiles({ storage: deps.storage, assignment, needed, found: file.key, cause: error });
    }
  }
  const { limits, threads } = deps;
  return { assignment, paths, directory, limits, engine: deps.config.ENGINE, threads };
}

async function recordEnd(
  deps: TaskDeps,
  { taskId, attempt, kind }: Assignment,
  { error, interruption }: { error: unknown; interruption: Interruption | null },
  { log, patience }: { log: Logger; patience: Patience },
): Promise<TaskOutcome> {
  const { pool } = deps.database;
  if (interruption === 'lost') {
    log.warn('the task went to another attempt');
    return 'lost';
  }
  if (interruption === 'shutdown') {
    const backoff = patience.until(AbortSignal.timeout(HAND_BACK_MS));
    const handedBack = await untilItWorks(
      () => answerOrAbort(pool.handBack(taskId, attempt, patience.idleSeconds), backoff.signal),
      backoff,
    );
    log.info({ handed_back: handedBack }, 'stopped');
    return 'handed_back';
  }
  if (interruption === 'cancel') {
    const canceled = serializeError(new InfrastructureError('canceled', 'the job was canceled'));
    const end = await untilItWorks(
      () => answerOrAbort(pool.fail(taskId, attempt, canceled, patience.idleSeconds), deps.shutdown),
      patience.until(deps.shutdown),
    );
    log.info({ end }, 'canceled');
    return 'canceled';
  }
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
  const end = await untilItWorks(
    () =>
      answerOrAbort(
        pool[own ? 'giveBack' : 'fail'](taskId, attempt, serializeError(reported), patience.idleSeconds),
        deps.shutdown,
      ),
    patience.until(deps.shutdown),
  );
  log.info({ end }, 'failure recorded');
  return end === 'canceled' || end === 'lost' || end === 'handed_back' ? end : 'failed';
}
