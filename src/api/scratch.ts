import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

const host = hostname().replace(/[^A-Za-z0-9-]/g, '-');

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** A directory of this process under `dataDirectory`; those of killed processes of this machine are removed. */
export async function openScratch(dataDirectory: string): Promise<string> {
  const root = join(dataDirectory, 'scratch-api');
  await mkdir(root, { recursive: true, mode: 0o700 });
  for (const name of await readdir(root)) {
    const [machine, pid] = name.split('.');
    if (machine === host && pid !== undefined && !isAlive(Number(pid))) {
      await rm(join(root, name), { recursive: true, force: true });
    }
  }
  return mkdtemp(join(root, `${host}.${process.pid}.`));
}
