/**
 * A worker of the service, with relay and reconciler, whose tasks do nothing: what is left is what the service itself
 * costs.
 */
import { fileURLToPath } from 'node:url';
import { destination } from 'pino';
import { openBackends, startMaintenance } from '../../src/service/backends.js';
import { readConfig } from '../../src/config/index.js';
import { createLogger } from '../../src/observability/logger.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { startWorker } from '../../src/worker/index.js';

const config = readConfig(process.env);
const logger = createLogger(config, {}, destination({ fd: 2, sync: true }));
const metrics = createMetrics({ ofProcess: true });
const backends = await openBackends(config, logger);
const maintenance = startMaintenance(backends, config, logger, metrics);
const module = fileURLToPath(new URL('./empty-steps.mjs', import.meta.url));
const worker = await startWorker({ ...backends, config, logger, metrics, module, filesNeeded: () => [] });
process.once('SIGTERM', () => {
  void (async () => {
    await maintenance.close();
    await worker.close(1);
    await backends.close();
    process.exit();
  })();
});
