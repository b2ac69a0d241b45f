import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPostgres, type TestPostgres } from '../support/postgres.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

describe('the storage commands', () => {
  let postgres: TestPostgres;
  let directory: string;
  beforeAll(async () => {
    postgres = await startPostgres();
    directory = await mkdtemp(join(tmpdir(), 'sparank-storage-cli-'));
  });
  afterAll(async () => {
    await postgres.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const sparank = (database: string, ...args: string[]) =>
    new Promise<{ code: number; out: string; err: string }>((resolve) => {
      const env = {
        PATH: process.env['PATH'],
        DATA_DIR: join(directory, 'data'),
        STORAGE_URL: `file://${join(directory, 'storage')}`,
        DATABASE_URL: database,
        WORKERS: '0',
        PORT: '0',
        LOG_LEVEL: 'fatal',
      };
      const child = execFile(process.execPath, [MAIN, ...args], { env }, (_, out, err) =>
        resolve({ code: child.exitCode ?? -1, out, err }),
      );
    });

  it('adopt, check and sweep tell what they find by their exit codes', async () => {
    const [owner, other] = [await postgres.createDatabase(), await postgres.createDatabase()];
    expect((await sparank(owner, 'storage', 'adopt')).code).toBe(0);
    // Another database is refused, by the service and by the command that deletes; looking is free.
    for (const command of [['start'], ['storage', 'sweep', '--delete']]) {
      const refused = await sparank(other, ...command);
      expect([command, refused.code]).toEqual([command, 2]);
      expect(refused.err).toContain('sparank storage adopt');
    }
    const foreign = JSON.parse((await sparank(other, 'storage', 'check', '--json')).out) as object;
    expect(foreign).toMatchObject({ owner: 'foreign', missing: [], unknown: [] });

    expect((await sparank(owner, 'storage', 'check')).code).toBe(0);
    await mkdir(join(directory, 'storage', 'uploads', 'team_default'), { recursive: true });
    await writeFile(join(directory, 'storage', 'uploads', 'team_default', 'stray'), 'x');
    const checked = await sparank(owner, 'storage', 'check');
    expect(checked.code).toBe(3);
    expect(checked.out).toMatch(/^unknown {2}uploads\/team_default\/stray {2}1 bytes/);
    const swept = JSON.parse((await sparank(owner, 'storage', 'sweep', '--json')).out) as object;
    expect(swept).toMatchObject({ uploads: { seen: 1, removed: 0 }, jobs: { seen: 0 } });
  });
});
