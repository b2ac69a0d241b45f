import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrate } from '../../src/database/connection/migrate.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { describeDatabase, openSchemaEngine } from '../support/schema-engine.js';
import { runSql } from '../support/teams.js';

let postgres: TestPostgres;
let scratch: string;
beforeAll(async () => {
  postgres = await startPostgres();
  scratch = await mkdtemp(join(tmpdir(), 'sparank-migrations-'));
});
afterAll(async () => {
  await postgres.stop();
  await rm(scratch, { recursive: true, force: true });
});

const DIRECTORY = new URL('../../prisma/migrations', import.meta.url);
const START = '20261124000000_start';

async function query<T extends object>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function copyOfMigrations(name: string): Promise<string> {
  const directory = join(scratch, name);
  await cp(DIRECTORY, directory, { recursive: true });
  return directory;
}

describe('migrations', () => {
  it('make exactly the tables that the Prisma schema describes', async () => {
    const schema = await readFile(new URL('../../prisma/schema.prisma', import.meta.url), 'utf8');
    const engine = await openSchemaEngine(await postgres.createDatabase({ migrated: false }));
    const described = async (text: string) => {
      const url = await postgres.createDatabase({ migrated: false });
      await runSql(url, await engine.sqlOf(text));
      return describeDatabase(url);
    };
    const migrated = await describeDatabase(await postgres.createDatabase());
    expect(migrated.length).toBeGreaterThan(100);
    expect(migrated).toEqual(await described(schema));
    const other = schema.replace('filename   String', 'filename   String?');
    expect(migrated).not.toEqual(await described(other));
    engine.close();
  });

  it('are applied once, whoever starts at the same time, and recorded as Prisma does', async () => {
    const url = await postgres.createDatabase({ migrated: false });
    const applied = await Promise.all([migrate(url), migrate(url), migrate(url)]);
    const all = (await readdir(DIRECTORY)).filter((name) => name !== 'migration_lock.toml').sort();
    expect(all[0]).toBe(START);
    expect(applied.flat()).toEqual(all);
    const rows = await query<{ migration_name: string; checksum: string; done: boolean; applied_steps_count: number }>(
      url,
      'select migration_name, checksum, finished_at is not null as done, applied_steps_count from _prisma_migrations order by 1',
    );
    expect(rows).toEqual(
      all.map((migration_name) => ({
        migration_name,
        checksum: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
        done: true,
        applied_steps_count: 1,
      })),
    );
  });

  it('refuse to go on when an applied one was changed', async () => {
    const url = await postgres.createDatabase();
    const directory = await copyOfMigrations('changed');
    await writeFile(join(directory, START, 'migration.sql'), '-- something else\n');
    await expect(migrate(url, directory)).rejects.toThrow(`migration ${START} was changed after it was applied`);
  });

  it('that fail leave nothing behind and say why', async () => {
    const url = await postgres.createDatabase();
    const directory = await copyOfMigrations('broken');
    await cp(join(directory, START), join(directory, '20270101000000_broken'), { recursive: true });
    await writeFile(
      join(directory, '20270101000000_broken', 'migration.sql'),
      'create table extra (id int); select nonsense;',
    );
    await expect(migrate(url, directory)).rejects.toThrow(
      /20270101000000_broken failed: column "nonsense" does not exist/,
    );
    expect(await query(url, "select from pg_tables where tablename = 'extra'")).toEqual([]);
    expect(await migrate(url)).toEqual([]);
  });
});
