import { openBackends, startMaintenance } from '../../src/service/backends.js';
import { readConfig } from '../../src/config/index.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { createJob } from './jobs.js';
import { quietLog } from './log.js';

/** Opens everything, uses it, closes it. The process must then end by itself: nothing may be left open. */
const config = readConfig({ ...process.env, DATA_DIR: process.argv[2] });
const backends = await openBackends(config, quietLog);
const maintenance = startMaintenance(backends, config, quietLog, createMetrics());
await createJob(backends.database);
const arrived = new Promise<string>((resolve) => {
  void backends.queue.consume(async ({ taskId }) => resolve(taskId), { concurrency: 1 });
});
const taskId = await arrived;
await maintenance.close();
await backends.close();
process.send?.({ taskId });
process.disconnect?.();
