import { destination } from 'pino';
import { keyFile } from '../../service/bootstrap-key.js';
import { readConfig } from '../../config/index.js';
import { createLogger } from '../../observability/logger.js';
import { print, printJson } from '../display/output.js';
import { startService } from '../../service/start-service.js';
import { untilSignal } from '../until-signal.js';

const STDERR = 2;

/** API and embedded workers; ends with a signal. */
export async function start({ json }: { json: boolean }): Promise<void> {
  const config = readConfig(process.env);
  const logger = createLogger(config, {}, destination({ fd: STDERR, sync: true }));
  const stop = untilSignal();
  const service = await startService(config, logger, { api: true, workers: config.WORKERS });
  const url = service.url ?? '';
  const file = keyFile(config);
  if (json) printJson({ url, docs: `${url}/docs`, key_file: service.key === null ? null : file });
  else {
    print(`sparank listens on ${url}`);
    print(`documentation      ${url}/docs`);
    if (service.key?.created === true) print(`API key            ${service.key.key} (kept in ${file})`);
    else if (config.BOOTSTRAP_API_KEY !== undefined) print('API key            as in BOOTSTRAP_API_KEY');
    else if (service.key) print(`API key            in ${file}`);
  }
  logger.info({ signal: await stop }, 'stopping');
  await service.close(config.SHUTDOWN_SECONDS);
}

/** Workers without an API. */
export async function work({ workers }: { workers: number }): Promise<void> {
  const config = readConfig(process.env);
  const logger = createLogger(config, {}, destination({ fd: STDERR, sync: true }));
  const stop = untilSignal();
  const service = await startService(config, logger, { api: false, workers });
  logger.info({ signal: await stop }, 'stopping');
  await service.close(config.SHUTDOWN_SECONDS);
}
