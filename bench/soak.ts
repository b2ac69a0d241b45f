/**
 * Half an hour of everything: jobs, random clients and random faults, every accepted job checked. `npx tsx
 * bench/soak.ts [--minutes 30] [--seed 2]`; Linux, needs `npm run build`. Ends with 1 when something was lost.
 */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { seededRandom } from '../src/compression/linalg/random.js';
import { type ClientCounts, runClients } from './siege/clients.js';
import { Deployment } from './siege/deployment.js';
import { livingProcesses } from './siege/processes.js';
import { printSiege } from './siege/report.js';
import { besiege } from './siege/siege.js';
import { mib } from './support/numbers.js';
import { residentBytes } from './support/process-memory.js';
import { writeSynthetic } from './support/synthetic.js';
import { note, printMachine, printTable } from './support/table.js';

const SAMPLE_MS = 10_000;

const command = new Command('bench/soak.ts')
  .option('--minutes <n>', 'how long', '30')
  .option('--clients <n>', 'at any time', '4')
  .option('--jobs <n>', 'in flight at any time', '3')
  .option('--pause <ms>', 'mean time between two faults', '8000')
  .option('--seed <n>', 'of the order and the moments', '2')
  .option('--log <path>', 'where the log of the service is kept')
  .parse();
const options = command.opts<Record<'minutes' | 'clients' | 'jobs' | 'pause' | 'seed', string> & { log?: string }>();

printMachine();
const folder = await mkdtemp(join(tmpdir(), 'sparank-siege-files-'));
const deployment = await Deployment.start();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void deployment.remove().finally(() => process.exit(1)));

/** Peak of what the processes of the service held at once, by the third of the soak: it must not grow. */
const started = Date.now();
const end = started + Number(options.minutes) * 60_000;
const memory: { part: number; bytes: number }[] = [];
const sampling = setInterval(() => {
  for (const { pid, command: line } of livingProcesses(deployment.dataDir)) {
    if (!line.endsWith(' start')) continue;
    try {
      memory.push({
        part: Math.min(2, Math.floor((3 * (Date.now() - started)) / (end - started))),
        bytes: residentBytes(pid),
      });
    } catch {
      // It was killed just now.
    }
  }
}, SAMPLE_MS);

try {
  const files = await writeSynthetic(folder, 3, 32);
  const random = seededRandom(Number(options.seed) + 1000);
  const counts: ClientCounts = { answers: new Map(), broken: 0, serverErrors: [] };
  let over = false;
  let last = 'job_of_no_one';
  const looking = setInterval(() => {
    deployment
      .query<{ id: string }>('select id from jobs order by random() limit 1')
      .then(([row]) => (last = row?.id ?? last))
      .catch(() => undefined);
  }, 2000);
  const clients = Array.from({ length: Number(options.clients) }, () =>
    runClients(deployment, random, { over: () => over, jobId: () => last, counts }),
  );
  const report = await besiege(deployment, files, {
    seed: Number(options.seed),
    jobs: Number(options.jobs),
    pauseMs: Number(options.pause),
    goOn: () => Date.now() < end,
    onNote: note,
    onQuiet: async () => {
      over = true;
      await Promise.all(clients);
    },
  });
  clearInterval(looking);
  report.wrong.push(...counts.serverErrors);
  printSiege(report, (Date.now() - started) / 1000);
  printTable(
    ['answer to a random client', 'times'],
    [...[...counts.answers].sort(([a], [b]) => a - b), ['none: the client left, or the API was killed', counts.broken]],
  );
  printTable(
    ['third of the soak', 'largest API process, MiB'],
    [0, 1, 2].map((part) => [
      part + 1,
      mib(Math.max(0, ...memory.filter((sample) => sample.part === part).map(({ bytes }) => bytes))),
    ]),
  );
  if (report.wrong.length > 0) process.exitCode = 1;
} finally {
  clearInterval(sampling);
  if (options.log !== undefined) await copyFile(deployment.logFile, options.log).catch(() => undefined);
  await deployment.remove();
  await rm(folder, { recursive: true, force: true });
}
