import { readFileSync } from 'node:fs';

/** Time between two looks. */
const POLL_MS = 500;

/** Whether npm runs this program as one of its package's scripts (`npm start`, `npm run worker`). */
export const isRunByNpm = (environment: Record<string, string | undefined>): boolean =>
  /\bmain\.js (start|worker|demo)\b/.test(environment['npm_lifecycle_script'] ?? '');

/** The parent of a process, where the system has /proc. */
function parentOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    // The command may hold spaces and brackets; fields are counted after its closing bracket.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? '';
  } catch {
    return '';
  }
}

/**
 * Resolves when npm, or the shell that it runs its scripts in, has gone: npm passes a signal on to that shell, which
 * dies of it and tells nobody. An orphan gets another parent.
 */
export function npmGone(): Promise<void> {
  const lineage = () => `${String(process.ppid)} ${parentOf(process.ppid)}`;
  const before = lineage();
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (lineage() === before) return;
      clearInterval(timer);
      resolve();
    }, POLL_MS);
    timer.unref();
  });
}
