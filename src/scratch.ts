import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/** Kernel start time of a process: tells a living process from a new one with the same id. '0' where unknown. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command may hold spaces and brackets; fields are counted after its closing bracket.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '0';
  } catch {
    return '0';
  }
}

function isAlive(pid: number, started: string): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return startTime(pid) === started;
}

const host = () => hostname().replace(/[^A-Za-z0-9-]/g, '-');

/** A directory for files that must not outlive this process. */
export interface Scratch {
  path: string;
  /** Directories of killed processes of this machine that were found, and removed, when it was opened. */
  stale: string[];
  remove(): Promise<void>;
}

export async function openScratch(dataDirectory: string): Promise<Scratch> {
  const root = join(dataDirectory, 'scratch');
  const stale = await removeStale(root);
  const name = `${host()}.${process.pid}.${startTime(process.pid)}.${randomBytes(4).toString('hex')}`;
  const path = join(root, name);
  await mkdir(path, { recursive: true, mode: 0o700 });
  return { path, stale, remove: () => rm(path, { recursive: true, force: true }) };
}

async function removeStale(root: string): Promise<string[]> {
  const names = await readdir(root).catch(() => []);
  const removed: string[] = [];
  for (const name of names) {
    const [machine, pid, started] = name.split('.');
    if (machine !== host() || !pid || !started || isAlive(Number(pid), started)) continue;
    await rm(join(root, name), { recursive: true, force: true });
    removed.push(name);
  }
  return removed;
}
