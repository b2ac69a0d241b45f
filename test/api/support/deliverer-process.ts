import pino from 'pino';
import { startDeliverer } from '../../../src/api/webhooks/deliver.js';
import { readConfig } from '../../../src/config.js';
import { openDatabase } from '../../../src/database/index.js';
import { createMetrics } from '../../../src/metrics.js';

/** Delivers webhooks of the database in the first argument to the host in the second, until it is killed. */
const [, , url = '', host = ''] = process.argv;
const config = readConfig({ URL_ALLOWED_HOSTS: host });
const logger = pino({ level: 'silent' });
const database = await openDatabase({ url, settings: config, logger });
startDeliverer({ database, config, logger, metrics: createMetrics() });
