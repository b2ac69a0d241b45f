import { destination, type Logger } from 'pino';
import { keyFile } from '../../service/bootstrap-key.js';
import { readConfig, type Config } from '../../config/index.js';
import { createLogger } from '../../observability/logger.js';
import { print, printJson } from '../display/output.js';
import { startService, type RunningService } from '../../service/start-service.js';
import { untilSignal } from '../until-signal.js';

const STDERR = 2;

/** Runs until a signal, or until the service says that it cannot go on. */
async function untilOver(
  service: RunningService,
  signal: Promise<NodeJS.Signals>,
  { SHUTDOWN_SECONDS }: Pick<Config, 'SHUTDOWN_SECONDS'>,
  logger: Logger,
): Promise<void> {
  const end = await Promise.race([signal, service.failed]);
  logger.info(end instanceof Error ? { err: end } : { signal: end }, 'stopping');
  await service.close(SHUTDOWN_SECONDS);
  if (end instanceof Error) throw end;
}

/** API and embedded workers; ends with a signal. */
export async function start({ json }: { json: boolean }): Promise<void> {
  const config = readConfig(process.env);
  const logger = createLogger(config, {}, destination({ fd: STDERR, sync: true }));
  const stop = untilSignal();
  const service = await startService(config, logger, { api: true, workers: config.WORKERS });
  const url = service.url ?? '';
  const file = keyFile(config);
  if (json) printJson({ url, dashboard: `${url}/`, docs: `${url}/docs`, key_file: service.key === null ? null : file });
  else {
    print(`sparank listens on ${url}`);
    print(`dashboard          ${url}/${service.key?.created === true ? `#key=${service.key.key}` : ''}`);
    print(`documentation      ${url}/docs`);
    if (service.key?.created === true) print(`API key            ${service.key.key} (kept in ${file})`);
    else if (config.BOOTSTRAP_API_KEY !== undefined) print('API key            as in BOOTSTRAP_API_KEY');
    else if (service.key) print(`API key            in ${file}`);
  }
  await untilOver(service, stop, config, logger);
}

/** Workers without an API. */
export async function work({ workers }: { workers: number }): Promise<void> {
  const config = readConfig(process.env);
  const logger = createLogger(config, {}, destination({ fd: STDERR, sync: true }));
  const stop = untilSignal();
  const service = await startService(config, logger, { api: false, workers });
  await untilOver(service, stop, config, logger);
}
