import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ErrorOrigin } from '../errors/index.js';

/** Seconds; a layer of a small network takes half a second, one of a large network minutes. */
const TASK_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600];
const CALL_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20];

export type TaskOutcome = 'succeeded' | 'refused' | 'failed' | 'canceled' | 'handed_back' | 'lost';

/**
 * What this process has done, for Prometheus. No label takes a value that a client can choose: kinds, outcomes and
 * codes are short lists. A process has one of these, and whatever it runs writes into it.
 */
export interface Metrics {
  registry: Registry;
  /** One attempt at a task has ended on this worker. */
  task(kind: string, engine: string, outcome: TaskOutcome, seconds: number): void;
  /** Why an attempt failed. */
  taskFailure(kind: string, origin: ErrorOrigin, code: string): void;
  /** A worker of this process has left service for a fault of this code, or has returned (null). */
  outOfService(workerId: string, code: string | null): void;
  webhookAttempt(outcome: 'delivered' | 'gone' | 'retry' | 'given_up', seconds: number): void;
  /** Things that the janitor took away. */
  removed(what: string, count: number): void;
  /** Things that the janitor could not take away; the next sweep tries again. */
  removalFailed(what: string, count: number): void;
  /** Whether the last sweep stopped because it would have removed too much. */
  sweepStopped(what: string, stopped: boolean): void;
  /** Stuck tasks and jobs that the reconciler put right. */
  reconciled: (what: string, count: number) => void;
}

export interface MetricsOptions {
  /** Also what Node knows of the process: memory, event loop, garbage collection. One registry of a process should. */
  ofProcess?: boolean;
}

export function createMetrics({ ofProcess = false }: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (ofProcess) collectDefaultMetrics({ register: registry });
  const taskSeconds = new Histogram({
    name: 'sparank_task_duration_seconds',
    help: 'Attempts at tasks on this worker, from the claim to their end',
    labelNames: ['kind', 'engine', 'outcome'] as const,
    buckets: TASK_BUCKETS,
    registers,
  });
  const failures = new Counter({
    name: 'sparank_task_failures_total',
    help: 'Attempts that failed on this worker, by whose fault it was',
    labelNames: ['kind', 'origin', 'code'] as const,
    registers,
  });
  const webhooks = new Histogram({
    name: 'sparank_webhook_attempt_duration_seconds',
    help: 'Attempts of this process to deliver a webhook',
    labelNames: ['outcome'] as const,
    buckets: CALL_BUCKETS,
    registers,
  });
  const counter = (name: string, help: string) => new Counter({ name, help, labelNames: ['what'] as const, registers });
  const removed = counter('sparank_janitor_removed_total', 'Rows and files that the janitor of this process took away');
  const removalFailures = counter(
    'sparank_janitor_failures_total',
    'Files that the janitor of this process could not take away',
  );
  const sweepStopped = new Gauge({
    name: 'sparank_sweep_stopped',
    help: '1: the last sweep of this process removed nothing, because too many files are unknown to the database',
    labelNames: ['what'] as const,
    registers,
  });
  const reconciled = counter(
    'sparank_reconciled_total',
    'Stuck tasks and jobs that the reconciler of this process put right',
  );
  const out = new Gauge({
    name: 'sparank_worker_out_of_service',
    help: 'Workers of this process that take no tasks for now',
    registers,
  });
  const faults = new Counter({
    name: 'sparank_worker_faults_total',
    help: 'Times that a worker of this process left service',
    labelNames: ['code'] as const,
    registers,
  });
  const absent = new Set<string>();
  const add = (to: Counter<'what'>) => (what: string, count: number) => {
    // Zeros too: a counter that is there from the start has a rate.
    to.inc({ what }, count);
  };
  return {
    registry,
    task: (kind, engine, outcome, seconds) => taskSeconds.observe({ kind, engine, outcome }, seconds),
    taskFailure: (kind, origin, code) => failures.inc({ kind, origin, code }),
    outOfService(workerId, code) {
      if (code === null) absent.delete(workerId);
      else {
        absent.add(workerId);
        faults.inc({ code });
      }
      out.set(absent.size);
    },
    webhookAttempt: (outcome, seconds) => webhooks.observe({ outcome }, seconds),
    removed: add(removed),
    removalFailed: add(removalFailures),
    sweepStopped: (what, stopped) => sweepStopped.set({ what }, stopped ? 1 : 0),
    reconciled: add(reconciled),
  };
}
