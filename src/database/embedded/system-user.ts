import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { InfrastructureError } from '../../errors/index.js';

export interface SystemUser {
  uid: number;
  gid: number;
}

const run = promisify(execFile);
const NAME = 'postgres';

async function lookUp(): Promise<SystemUser | null> {
  const users = await readFile('/etc/passwd', 'utf8');
  const fields = users
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === NAME);
  return fields === undefined ? null : { uid: Number(fields[2]), gid: Number(fields[3]) };
}

/**
 * PostgreSQL refuses to run as root. As root: the user `postgres`, made when it is missing. Otherwise null: run as
 * ourselves.
 */
export async function unprivilegedUser(): Promise<SystemUser | null> {
  if (process.getuid?.() !== 0) return null;
  const existing = await lookUp();
  if (existing !== null) return existing;
  try {
    await run('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/bin/false', NAME]);
  } catch (cause) {
    // Another process may have made it in this moment.
    const made = await lookUp();
    if (made !== null) return made;
    throw new InfrastructureError(
      'unavailable',
      'the embedded PostgreSQL cannot run as root and no user could be made for it',
      {
        cause,
      },
    );
  }
  const made = await lookUp();
  if (made === null) throw new InfrastructureError('unavailable', `the user ${NAME} was made but is not listed`);
  return made;
}
