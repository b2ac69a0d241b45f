/** What keeps jobs moving, as every process of the service runs it, and nothing else. */
import { destination } from 'pino';
import { openBackends, startMaintenance } from '../../src/service/backends.js';
import { readConfig } from '../../src/config/index.js';
import { createLogger } from '../../src/observability/logger.js';
import { createMetrics } from '../../src/observability/metrics.js';

const config = readConfig(process.env);
const logger = createLogger(config, {}, destination({ fd: 2, sync: true }));
const backends = await openBackends(config, logger);
startMaintenance(backends, config, logger, createMetrics());
process.once('SIGTERM', () => process.exit());
process.send?.('ready');
