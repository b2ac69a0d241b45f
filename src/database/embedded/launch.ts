import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { access, constants, stat } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { InfrastructureError } from '../../errors/index.js';
import type { SystemUser } from './system-user.js';

/** How to start a program as another user: the command line in front of it, and the ids. */
export interface Launch {
  prefix: string[];
  user: SystemUser | null;
}

async function traversable(path: string, user: SystemUser): Promise<boolean> {
  for (let directory = path; ; directory = dirname(directory)) {
    const { mode, uid, gid } = await stat(directory);
    const allowed = uid === user.uid ? mode & 0o100 : gid === user.gid ? mode & 0o010 : mode & 0o001;
    if (allowed === 0) return false;
    if (directory === dirname(directory)) return true;
  }
}

async function onPath(program: string): Promise<string | null> {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(directory, program);
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return null;
}

/**
 * A checkout or a data directory below `/root` or `mktemp -d` (mode 0700) cannot be entered by the user that PostgreSQL
 * runs as. There `setpriv` (util-linux) lets it pass directories without changing anybody's modes.
 */
export async function planLaunch(user: SystemUser | null, directories: string[]): Promise<Launch> {
  if (user === null) return { prefix: [], user: null };
  const open = await Promise.all(directories.map((directory) => traversable(directory, user)));
  if (!open.includes(false)) return { prefix: [], user };
  const setpriv = await onPath('setpriv');
  if (setpriv === null) {
    const closed = directories.filter((_, i) => !open[i]).join(' and ');
    throw new InfrastructureError(
      'unavailable',
      `the embedded PostgreSQL cannot run as root, and its user may not enter ${closed}; choose another DATA_DIR, or set DATABASE_URL`,
    );
  }
  const ids = ['--reuid', String(user.uid), '--regid', String(user.gid), '--clear-groups'];
  return { prefix: [setpriv, ...ids, '--inh-caps', '+dac_override', '--ambient-caps', '+dac_override'], user: null };
}

export function launch(plan: Launch, program: string, args: string[], options: SpawnOptions): ChildProcess {
  const [command, ...rest] = [...plan.prefix, program, ...args];
  return spawn(command ?? program, rest, {
    ...options,
    // No locale of the caller may change what the server prints or how it sorts.
    env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' },
    ...(plan.user ?? {}),
  });
}
