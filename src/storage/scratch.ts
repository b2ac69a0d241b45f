import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { lstat, mkdir, mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

const HOUR_MS = 3600_000;
/** A living process touches its directory this often: another machine cannot see whether the process is there. */
const TOUCH_MS = HOUR_MS;
/** A directory of another machine that was not touched for so long is nobody's: containers get a new name each time. */
const FORSAKEN_MS = 24 * HOUR_MS;

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
  /** Directories of killed processes that were found, and removed, when it was opened. */
  stale: string[];
  remove(): Promise<void>;
}

/** A directory that is there once a file needs it: most submissions name files that are stored already. */
export interface LazyDirectory {
  path(): Promise<string>;
  remove(): Promise<void>;
}

export function lazyDirectory(parent: string, prefix: string): LazyDirectory {
  let made: Promise<string> | null = null;
  return {
    path: () => (made ??= mkdtemp(join(parent, prefix))),
    async remove() {
      // One that could not be made was an error where it was asked for.
      const path = await made?.catch(() => null);
      if (path !== null && path !== undefined) await rm(path, { recursive: true, force: true });
    },
  };
}

export async function openScratch(dataDirectory: string): Promise<Scratch> {
  const root = join(dataDirectory, 'scratch');
  const stale = await removeStale(root);
  const name = `${host()}.${process.pid}.${startTime(process.pid)}.${randomBytes(4).toString('hex')}`;
  const path = join(root, name);
  await mkdir(path, { recursive: true, mode: 0o700 });
  const touching = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, TOUCH_MS).unref();
  return {
    path,
    stale,
    remove() {
      clearInterval(touching);
      return rm(path, { recursive: true, force: true });
    },
  };
}

async function removeStale(root: string): Promise<string[]> {
  const names = await readdir(root).catch(() => []);
  const removed: string[] = [];
  for (const name of names) {
    const path = join(root, name);
    const [machine, pid, started] = name.split('.');
    if (!pid || !started) continue;
    const inUse = machine === host() ? isAlive(Number(pid), started) : !(await isForsaken(path));
    if (inUse) continue;
    // What cannot be removed (another user's, say) is no reason not to start.
    const gone = await rm(path, { recursive: true, force: true }).then(
      () => true,
      () => false,
    );
    if (gone) removed.push(name);
  }
  return removed;
}

async function isForsaken(path: string): Promise<boolean> {
  // Gone by now: another process is at the same work.
  const found = await lstat(path).catch(() => null);
  return found !== null && Date.now() - found.mtimeMs > FORSAKEN_MS;
}
