import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { mib } from '../support/numbers.js';
import { peakBytes, resetPeak, residentBytes } from '../support/process-memory.js';
import { cpuSeconds } from '../support/process-time.js';
import { sendUpload } from '../support/send-upload.js';
import { Service } from '../support/service.js';
import { note, printTable } from '../support/table.js';
import { NO_LIMITS } from './requests.js';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
/** Room on the disk beside the files themselves. */
const SPARE_BYTES = 4 * GIB;

/** Large uploads at the same time, to local storage: the memory of the API must not depend on their size. */
export async function uploads({ gib, atATime }: { gib: number; atATime: number }): Promise<void> {
  const { bavail, bsize } = await statfs(tmpdir());
  const needed = (1 + atATime) * gib * GIB + SPARE_BYTES;
  if (bavail * bsize < needed) throw new Error(`${tmpdir()} has too little room: ${needed / GIB} GiB are needed`);
  const { service, api } = await Service.start(NO_LIMITS);
  try {
    const rows: (string | number)[][] = [];
    // A small one first: what the process takes for its first upload is not growth.
    await sendUpload(service.url, 64 * MIB);
    for (const [run, count] of [1, atATime].entries()) {
      note(`${count} uploads of ${gib} GiB`);
      const before = residentBytes(api.pid);
      const cpu = cpuSeconds(api.pid);
      resetPeak(api.pid);
      const begun = performance.now();
      await Promise.all(
        Array.from({ length: count }, (_, i) => sendUpload(service.url, gib * GIB, 1 + run * atATime + i)),
      );
      const seconds = (performance.now() - begun) / 1000;
      const peak = peakBytes(api.pid);
      const total = (count * gib * GIB) / MIB;
      rows.push([
        `${count} of ${gib} GiB`,
        mib(before),
        mib(peak),
        mib(peak - before),
        (total / seconds).toFixed(0),
        (((cpuSeconds(api.pid) - cpu) * 1024) / total).toFixed(2),
      ]);
    }
    printTable(
      ['uploads at a time', 'API before MiB', 'API peak MiB', 'growth MiB', 'MiB/s', 'CPU seconds of the API per GiB'],
      rows,
    );
  } finally {
    await service.close();
  }
}
