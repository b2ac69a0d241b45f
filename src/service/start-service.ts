import type { Logger } from 'pino';
import { startApi, webhookBody } from '../api/index.js';
import { startDeliverer } from '../maintenance/webhook-deliverer.js';
import { ensureBootstrapKey, type BootstrapKey } from './bootstrap-key.js';
import { openBackends, startMaintenance } from './backends.js';
import type { Config } from '../config/index.js';
import { startMetricsServer } from './metrics-server.js';
import { createMetrics } from '../observability/metrics.js';
import { filesNeeded } from '../pipeline/files-needed.js';
import { openTelemetry } from '../observability/telemetry.js';
import { type RunningWorker, startWorker } from '../worker/index.js';
import { claimWhenItAnswers } from './claim-storage.js';
import { closeParts, type Closer } from './close-parts.js';
import { createSubmissionCheck } from './submission-check.js';

export interface RunningService {
  /** Null when only workers run. */
  url: string | null;
  key: BootstrapKey | null;
  /** Why the service cannot go on, when that shows after the start. */
  failed: Promise<Error>;
  close(graceSeconds: number): Promise<void>;
}

/** API, workers and the loops that keep jobs moving, in this process: any part of them. */
export async function startService(
  config: Config,
  logger: Logger,
  parts: { api: boolean; workers: number },
): Promise<RunningService> {
  const metrics = createMetrics({ ofProcess: true });
  const closers: Closer[] = [];
  let workers: RunningWorker[] = [];
  const close = (graceSeconds: number) => closeParts(closers, graceSeconds, logger);
  try {
    const telemetry = await openTelemetry(config, logger);
    closers.push(() => telemetry.close());
    const backends = await openBackends(config, logger, { quiet: !parts.api });
    closers.push(() => backends.close());
    const claim = await claimWhenItAnswers(backends, logger);
    closers.push(() => claim.close());
    const { failed } = claim;
    const maintenance = startMaintenance(backends, config, logger, metrics);
    closers.push(() => maintenance.close());
    if (!parts.api && config.METRICS_PORT > 0) {
      const server = await startMetricsServer(config, metrics, () => workers.map(({ health }) => health));
      closers.push(() => server.close());
    }
    workers = await Promise.all(
      Array.from({ length: parts.workers }, () =>
        startWorker({ ...backends, config, logger, metrics, telemetry, filesNeeded, workersInProcess: parts.workers }),
      ),
    );
    closers.push(async (grace) => {
      await Promise.all(workers.map((worker) => worker.close(grace)));
    });
    if (!parts.api) return { url: null, key: null, failed, close };
    const key = await ensureBootstrapKey(config, backends.database.keys);
    const submissions = await createSubmissionCheck(config);
    closers.push(() => submissions.close());
    const api = await startApi({ ...backends, config, logger, metrics, telemetry, checkSubmission: submissions.check });
    closers.push(() => api.close());
    const deliverer = startDeliverer({ database: backends.database, config, logger, metrics, body: webhookBody });
    closers.push(() => deliverer.close());
    return { url: api.url, key, failed, close };
  } catch (error) {
    await close(0);
    throw error;
  }
}
