import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { destination } from 'pino';
import { readConfig } from '../../config/index.js';
import { InputError } from '../../errors/index.js';
import { createLogger } from '../../observability/logger.js';
import { Sparank } from '../../client/node/index.js';
import { EXIT } from '../exit-codes.js';
import { follow } from '../display/follow.js';
import { concludeJob, displayFor, note, print } from '../display/output.js';
import { layerTable } from '../display/report.js';
import { startService } from '../../service/start-service.js';
import { untilSignal } from '../until-signal.js';

const EXAMPLE = fileURLToPath(new URL('../../../examples/fashion-mnist/', import.meta.url));
const TARGET = { parameter_ratio: 4 };

/**
 * The whole product in one command: an embedded service, a job over HTTP, its numbers; nothing is left behind. With
 * `stay` the dashboard stays open.
 */
export async function demo({ json, stay = false }: { json: boolean; stay?: boolean }): Promise<void> {
  const path = (name: string) => join(EXAMPLE, name);
  for (const name of ['model.onnx', 'calibration.npz', 'evaluation.npz']) {
    if (!existsSync(path(name))) throw new InputError('not_found', `${path(name)} is missing`);
  }
  const directory = await mkdtemp(join(tmpdir(), 'sparank-demo-'));
  const interrupted = new AbortController();
  void untilSignal().then(() => interrupted.abort());
  const { LOG_LEVEL, ENGINE, THREADS } = process.env;
  // Only what the machine needs is taken from the environment: the demo touches no database, queue or storage of yours.
  const config = readConfig({ LOG_LEVEL: LOG_LEVEL ?? 'error', ENGINE, THREADS, DATA_DIR: directory, PORT: '0' });
  const logger = createLogger(config, {}, destination({ fd: 2, sync: true }));
  let close: () => Promise<void> = () => Promise.resolve();
  try {
    if (!json) note('starting PostgreSQL, the API and a worker');
    const service = await startService(config, logger, { api: true, workers: config.WORKERS });
    close = () => service.close(0);
    interrupted.signal.throwIfAborted();
    const client = new Sparank({ url: service.url ?? '', apiKey: service.key?.key ?? '' });
    const dashboard = `${client.url}/ui/jobs`;
    const entrance = `#key=${service.key?.key ?? ''}`;
    if (!json) note(`dashboard: ${dashboard}${entrance}`);
    if (!json) note(`submitting examples/fashion-mnist to ${client.url}`);
    const { id } = await client.compress(path('model.onnx'), path('calibration.npz'), {
      evaluation: path('evaluation.npz'),
      target: TARGET,
      // The usual effort is minutes: too long for a first look.
      effort: 'quick',
      labels: { example: 'fashion-mnist' },
    });
    const job = await follow(client, id, displayFor(json), interrupted.signal);
    if (!json) print(`\n${layerTable(await client.jobs.layers(id))}\n`);
    concludeJob(job, json);
    if (stay) {
      note(`the finished job: ${dashboard}/${id}${entrance} (until Ctrl-C)`);
      if (!interrupted.signal.aborted) await once(interrupted.signal, 'abort');
    }
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    note('interrupted');
    process.exitCode = EXIT.interrupted;
  } finally {
    await close();
    await rm(directory, { recursive: true, force: true });
  }
}
