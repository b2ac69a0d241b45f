import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { outputPrefix } from '../../jobs/files.js';
import type { Assignment } from '../../jobs/tasks.js';
import type { TaskOutcome } from '../../observability/metrics.js';
import { NO_TELEMETRY, type OpenSpan } from '../../observability/telemetry.js';
import { answerOrAbort, type Patience } from '../backoff.js';
import { Heartbeat } from './heartbeat.js';
import type { TaskDeps } from './task-deps.js';

/** Why a running task was taken from its worker. */
export type Interruption = 'lost' | 'cancel' | 'shutdown';

/** One attempt at a task, from its claim to its end. */
export interface Run {
  readonly assignment: Assignment;
  readonly log: Logger;
  readonly patience: Patience;
  readonly span: OpenSpan;
  readonly heartbeat: Heartbeat;
  /** Aborted when the task is taken from this worker. */
  readonly signal: AbortSignal;
  interruption(): Interruption | null;
  /** Its scratch directory, which goes at the end. */
  readonly directory: string;
  /** Of its files in the storage. */
  readonly prefix: string;
  /** Of its work that is done, for the signs of life. */
  progress(fraction: number): void;
  secondsSinceClaim(): number;
  end(outcome: TaskOutcome): Promise<void>;
}

/** Begins the signs of life of a claimed task, and listens to what may take it away. */
export function beginRun(
  deps: TaskDeps,
  assignment: Assignment,
  { logger, patience }: { logger: Logger; patience: Patience },
): Run {
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
  if (deps.shutdown.aborted) onShutdown();
  const directory = join(deps.scratch, `${taskId}.${String(attempt)}`);
  const span = (deps.telemetry ?? NO_TELEMETRY).start(`task ${kind}`, {
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
  const claimedAt = performance.now();
  const secondsSinceClaim = () => (performance.now() - claimedAt) / 1000;
  log.info('started');
  return {
    assignment,
    log,
    patience,
    span,
    heartbeat,
    signal: interrupt.signal,
    interruption: () => (interrupt.signal.aborted ? (interrupt.signal.reason as Interruption) : null),
    directory,
    prefix: outputPrefix(assignment),
    progress: (done) => (fraction = done),
    secondsSinceClaim,
    async end(outcome) {
      span.end({ 'sparank.outcome': outcome }, outcome === 'failed' || outcome === 'lost' ? outcome : undefined);
      deps.metrics.task(kind, deps.engine, outcome, secondsSinceClaim());
      deps.shutdown.removeEventListener('abort', onShutdown);
      unsubscribe();
      // A beat that gets no answer must not hold up a stop.
      await answerOrAbort(heartbeat.stop(), deps.shutdown).catch(() => undefined);
      await rm(directory, { recursive: true, force: true }).catch((error: unknown) =>
        log.warn({ err: error }, 'scratch files were left'),
      );
    },
  };
}
