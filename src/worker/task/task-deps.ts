import type { Logger } from 'pino';
import type { Config } from '../../config/index.js';
import type { Database } from '../../database/repositories.js';
import type { Metrics } from '../../observability/metrics.js';
import type { Telemetry } from '../../observability/telemetry.js';
import type { FilesNeeded } from '../../pipeline/step.js';
import type { Storage } from '../../storage/storage.js';
import type { StepRequest } from '../compute/child/protocol.js';
import type { ComputeProcess } from '../compute/compute-process.js';
import type { InService } from '../in-service.js';
import type { FileCache } from './file-cache.js';

/** What a worker gives each of its tasks. */
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
