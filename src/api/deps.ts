import type { FastifyBaseLogger } from 'fastify';
import type { Config } from '../config/index.js';
import type { Database } from '../database/repositories.js';
import type { Spec } from '../jobs/spec.js';
import type { TaskQueue } from '../queue/queue.js';
import type { Metrics } from '../observability/metrics.js';
import type { AtOnce } from './at-once.js';
import type { KeyLookup } from './plugins/key-lookup.js';
import type { Telemetry } from '../observability/telemetry.js';
import type { Storage } from '../storage/storage.js';

/** Local paths of the files of a job. */
export interface SubmittedFiles {
  model: string;
  calibration: string;
  evaluation?: string;
}

/**
 * Looks at the files of a job before it is accepted, and estimates its cost.
 * @throws InputError naming what is wrong with them
 */
export type CheckSubmission = (files: SubmittedFiles, spec: Spec) => Promise<{ estimate: unknown }>;

export interface ApiDeps {
  config: Config;
  database: Database;
  queue: Pick<TaskQueue, 'depth' | 'check' | 'boards'>;
  storage: Storage;
  logger: FastifyBaseLogger;
  metrics: Metrics;
  /** @defaultValue none */
  telemetry?: Telemetry;
  /** Without it, what is wrong with the files shows when the job runs. */
  checkSubmission?: CheckSubmission;
}

/** What the route groups share. */
export interface RouteDeps extends ApiDeps {
  /** Aborts when the server begins to close: waits and streams end. */
  closing: AbortSignal;
  /** A directory of this process for files that do not outlive a request. */
  scratch: string;
  keyLookup: KeyLookup;
  /** Requests of each team that bring files, or have them fetched: those fill disks before they count as stored. */
  incoming: AtOnce;
  /** Event streams of each key. */
  streams: AtOnce;
}

export interface RouteOptions {
  deps: RouteDeps;
}
