/**
 * Peak memory of every process of the service while a job runs, and of the API while it takes large uploads.
 * `npx tsx bench/memory.ts [model] [options]`; Linux only, needs `npm run build`.
 */
import { join } from 'node:path';
import { Command } from 'commander';
import { addFiles, filesOf, readTarget, uploadAll } from './support/files.js';
import { mib } from './support/numbers.js';
import { childrenOf, peakBytes, resetPeak, residentBytes, watchPeaks } from './support/process-memory.js';
import { sendUpload } from './support/send-upload.js';
import { Service } from './support/service.js';
import { note, printMachine, printTable } from './support/table.js';

const UPLOADS_MIB = [64, 256, 1024];
const compute = join('compute', 'child', 'main.js');
const check = join('worker', 'child', 'check.js');

const command = addFiles(new Command('bench/memory.ts'))
  .option('--target <name=value>', 'of the job', 'parameter_ratio=4')
  .parse();
const files = filesOf(command);
const target = readTarget(command.opts<{ target: string }>().target);

printMachine();
const { service, api } = await Service.start();
try {
  const worker = service.startWorker();
  const watched = watchPeaks({
    API: () => [api.pid],
    'check of submitted files (child of the API)': () => childrenOf(api.pid, check),
    worker: () => [worker.pid],
    'compute process (child of the worker)': () => childrenOf(worker.pid, compute),
  });
  note('a job');
  await service.run({ ...(await uploadAll(service.client, files)), target });
  const peaks = watched.stop();
  printTable(
    ['process', 'peak MiB while a job ran'],
    Object.entries(peaks).map(([name, bytes]) => [name, mib(bytes)]),
  );
  await worker.stop();

  const rows: (string | number)[][] = [];
  for (const size of UPLOADS_MIB) {
    note(`an upload of ${size} MiB`);
    const before = residentBytes(api.pid);
    resetPeak(api.pid);
    const seconds = await sendUpload(service.url, size * 2 ** 20);
    const peak = peakBytes(api.pid);
    rows.push([size, mib(before), mib(peak), mib(peak - before), (size / seconds).toFixed(0)]);
  }
  printTable(['upload MiB', 'API before MiB', 'API peak MiB', 'growth MiB', 'MiB/s'], rows);
} finally {
  await service.close();
}
