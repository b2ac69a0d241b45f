import pino from 'pino';
import { webhookBody } from '../../../src/api/webhooks/body.js';
import { startDeliverer } from '../../../src/maintenance/webhook-deliverer.js';
import { readConfig } from '../../../src/config/index.js';
import { openDatabase } from '../../../src/database/index.js';
import { createMetrics } from '../../../src/observability/metrics.js';

/** Delivers webhooks of the database in the first argument to the host in the second, until it is killed. */
const [, , url = '', host = ''] = process.argv;
const config = readConfig({ URL_ALLOWED_HOSTS: host });
const logger = pino({ level: 'silent' });
const database = await openDatabase({ url, settings: config, logger });
startDeliverer({ database, config, logger, metrics: createMetrics(), body: webhookBody });
