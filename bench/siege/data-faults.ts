import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT } from '../../src/cli/exit-codes.js';
import { age } from './age.js';
import type { Deployment } from './deployment.js';
import { takeDump } from './dump.js';
import type { Fault } from './faults.js';

/** What goes on after the dump, and is not in it. */
const GOES_ON_MS = 4000;

/** What can be done to the data, not to the processes. */
export const DATA_FAULTS: Fault[] = [
  {
    name: 'second process on the storage',
    weight: 0.5,
    async run(deployment: Deployment) {
      // A stranger's sweep would take them.
      await age(join(deployment.storageDir, 'uploads'));
      const { code, log } = await deployment.runStranger();
      if (code !== EXIT.usage || !log.includes('sparank storage adopt'))
        throw new Error(`a process with another database ended with ${String(code)}: ${log.slice(-300)}`);
      return true;
    },
  },
  {
    name: 'old dump restored',
    weight: 0.25,
    async run(deployment: Deployment) {
      const dump = await takeDump(deployment.databaseUrl);
      await sleep(GOES_ON_MS);
      await deployment.restore(dump);
      return true;
    },
  },
];
