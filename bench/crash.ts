/**
 * The service under fire: jobs keep coming while processes, databases, connections, disk and clock are made to fail,
 * first once each, then at random moments. `npx tsx bench/crash.ts [--kills 200] [--seed 1]`; Linux, needs `npm run
 * build`; Redis, a mounted file system of limited size and libfaketime are used where they are found. Ends with 1 when
 * something was lost.
 */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { FAKETIME } from './siege/clock.js';
import { Deployment } from './siege/deployment.js';
import { FAULTS } from './siege/faults.js';
import { printSiege } from './siege/report.js';
import { besiege } from './siege/siege.js';
import { writeSynthetic } from './support/synthetic.js';
import { note, printMachine } from './support/table.js';

const command = new Command('bench/crash.ts')
  .option('--kills <n>', 'faults, of which the first are one of each kind', '200')
  .option('--jobs <n>', 'in flight at any time', '3')
  .option('--pause <ms>', 'mean time between two faults', '1500')
  .option('--seed <n>', 'of the order and the moments', '1')
  .option('--log <path>', 'where the log of the service is kept')
  .option('--postgres-queue', 'the queue in PostgreSQL, without Redis')
  .parse();
const options = command.opts<{
  kills: string;
  jobs: string;
  pause: string;
  seed: string;
  log?: string;
  postgresQueue?: true;
}>();

printMachine();
const folder = await mkdtemp(join(tmpdir(), 'sparank-siege-files-'));
const deployment = await Deployment.start({}, { redis: options.postgresQueue !== true });
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void deployment.remove().finally(() => process.exit(1)));
try {
  const files = await writeSynthetic(folder, 3, 32);
  if (deployment.redis === null) note('no Redis: the queue is in PostgreSQL');
  if (!deployment.disk.canFill) note('no disk that can be filled');
  if (FAKETIME === null) note('no libfaketime: the clock stays');
  const started = Date.now();
  const report = await besiege(deployment, files, {
    seed: Number(options.seed),
    jobs: Number(options.jobs),
    pauseMs: Number(options.pause),
    goOn: (done) => done < Number(options.kills),
    first: FAULTS,
    onNote: note,
  });
  printSiege(report, (Date.now() - started) / 1000);
  if (report.wrong.length > 0) process.exitCode = 1;
} finally {
  if (options.log !== undefined) await copyFile(deployment.logFile, options.log).catch(() => undefined);
  await deployment.remove();
  await rm(folder, { recursive: true, force: true });
}
