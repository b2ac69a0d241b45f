/**
 * The service under load: `npx tsx bench/load.ts [--part requests streams viewers uploads tasks]`; needs `npm run
 * build`. Clients, API, PostgreSQL and Redis share the machine.
 */
import { Command } from 'commander';
import { requests } from './load/requests.js';
import { streams } from './load/streams.js';
import { tasks } from './load/tasks.js';
import { viewers } from './load/viewers.js';
import { uploads } from './load/uploads.js';
import { addFiles, filesOf } from './support/files.js';
import { printMachine } from './support/table.js';

const command = addFiles(new Command('bench/load.ts'))
  .option('--part <name...>', 'requests, streams, viewers, uploads, tasks', [
    'requests',
    'streams',
    'viewers',
    'uploads',
    'tasks',
  ])
  .option('--jobs <n>', 'queued jobs', '10000')
  .option('--seconds <n>', 'of one measurement of requests', '2')
  .option('--rounds <n>', 'of the requests; medians are printed', '3')
  .option('--concurrency <n...>', 'requests at a time', ['1', '8', '32'])
  .option('--clients <n>', 'that follow events', '200')
  .option('--gib <n>', 'of an upload', '2')
  .option('--uploads <n>', 'at a time', '3')
  .parse();
const options = command.opts<{ part: string[]; concurrency: string[] } & Record<string, string>>();
const number = (name: string) => Number(options[name]);
const files = filesOf(command);

const parts: Record<string, () => Promise<void>> = {
  requests: () =>
    requests({
      files,
      jobs: number('jobs'),
      seconds: number('seconds'),
      rounds: number('rounds'),
      concurrency: options.concurrency.map(Number),
    }),
  streams: () => streams({ files, clients: number('clients') }),
  viewers: () => viewers({ files, jobs: number('jobs'), clients: number('clients'), seconds: 5 * number('seconds') }),
  uploads: () => uploads({ gib: number('gib'), atATime: number('uploads') }),
  tasks: () => tasks({ jobs: number('jobs') }),
};
printMachine();
for (const name of options.part) {
  const part = parts[name];
  if (part === undefined) throw new Error(`there is no part ${name}`);
  await part();
}
