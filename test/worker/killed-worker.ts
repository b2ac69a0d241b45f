import { readConfig } from '../../src/config/index.js';
import { openDatabase } from '../../src/database/index.js';
import { LocalStorage } from '../../src/storage/local-storage.js';
import { quietLog } from '../support/log.js';
import { openRig } from './rig.js';

/** Runs the next task up to its commit, says so, and waits there to be killed. */
const [url = '', directory = '', files = ''] = process.argv.slice(2);
const database = await openDatabase({ url, settings: { ...readConfig({}), LEASE_SECONDS: 1 }, logger: quietLog });
const storage = await LocalStorage.open(files);
const pool = {
  ...database.pool,
  succeed: () => {
    process.send?.('uploaded');
    return new Promise<boolean>(() => undefined);
  },
};
await openRig({ ...database, pool }, storage, directory).runNext();
