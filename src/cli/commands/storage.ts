import { destination } from 'pino';
import { openBackends, type Backends } from '../../service/backends.js';
import { readConfig } from '../../config/index.js';
import { createLogger } from '../../observability/logger.js';
import { adoptStorage } from '../../maintenance/storage-owner.js';
import { print, printJson } from '../display/output.js';

async function withBackends<T>(work: (backends: Backends) => Promise<T>): Promise<T> {
  const config = readConfig(process.env);
  const logger = createLogger({ LOG_LEVEL: 'fatal' }, {}, destination({ fd: 2, sync: true }));
  const backends = await openBackends(config, logger);
  try {
    return await work(backends);
  } finally {
    await backends.close();
  }
}

/** The storage of the settings belongs to the database of the settings from now on. */
export async function adopt({ json }: { json: boolean }): Promise<void> {
  await withBackends(async (backends) => {
    const before = await adoptStorage(backends);
    const { id } = await backends.database.installation.get();
    if (json) return printJson({ installation: id, before });
    print(`the storage belongs to this database (${id}) now`);
    if (before !== null && before.installation !== id)
      print(`it belonged to ${before.installation}, whose processes will not start on it any more: stop them`);
  });
}
