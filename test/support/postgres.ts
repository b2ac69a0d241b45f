import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { readConfig } from '../../src/config/index.js';
import { type DatabaseSettings, openDatabase } from '../../src/database/index.js';
import { freePort, openCluster, serverUrl, startServer, stopServer } from '../../src/database/embedded/server.js';
import { migrate } from '../../src/database/connection/migrate.js';
import type { Database } from '../../src/database/repositories.js';
import { quietLog } from './log.js';

/**
 * A real PostgreSQL of a test file: started once, with a migrated template from which every test clones its own
 * database.
 */
export interface TestPostgres {
  /** A fresh database, migrated unless told otherwise. */
  createDatabase(options?: { migrated?: boolean }): Promise<string>;
  /** A fresh database, opened. It is closed by `stop` at the latest. */
  open(settings?: Partial<DatabaseSettings>): Promise<Database>;
  /** Another client of the same database, closed by `stop`. */
  openAgain(database: Pick<Database, 'url'>, settings?: Partial<DatabaseSettings>): Promise<Database>;
  /** Server processes other than this helper's own that are connected to the database. */
  connections(url: string): Promise<number>;
  /** Kills every connection to the database, as a restart would. */
  cutConnections(url: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startPostgres(): Promise<TestPostgres> {
  const scratch = await mkdtemp(join(tmpdir(), 'sparank-postgres-'));
  const cluster = await openCluster(join(scratch, 'postgres'), 'test');
  const port = await freePort();
  // Nothing here has to survive a power cut.
  await startServer(cluster, port, 'test', [
    '-c',
    'fsync=off',
    '-c',
    'synchronous_commit=off',
    '-c',
    'full_page_writes=off',
  ]);
  const url = (name: string) => serverUrl(port, 'test', name);
  const admin = new pg.Client({ connectionString: url('postgres') });
  admin.on('error', () => undefined);
  await admin.connect();
  await admin.query('create database template');
  await migrate(url('template'));
  const opened: Database[] = [];
  let count = 0;

  // One after the other, also for tests that run at the same time: it is one connection, and one template.
  let created: Promise<unknown> = Promise.resolve();
  const createDatabase: TestPostgres['createDatabase'] = async ({ migrated = true } = {}) => {
    const name = `test_${++count}`;
    const create = () => admin.query(`create database ${name}${migrated ? ' template template' : ''}`);
    const turn = created.then(create, create);
    created = turn;
    await turn;
    return url(name);
  };
  const openUrl = async (databaseUrl: string, settings: Partial<DatabaseSettings>) => {
    const database = await openDatabase({
      url: databaseUrl,
      settings: { ...readConfig({}), ...settings },
      logger: quietLog,
      connections: 6,
    });
    opened.push(database);
    return database;
  };
  const nameOf = (databaseUrl: string) => new URL(databaseUrl).pathname.slice(1);

  return {
    createDatabase,
    open: async (settings = {}) => openUrl(await createDatabase(), settings),
    openAgain: (database, settings = {}) => openUrl(database.url, settings),
    async connections(databaseUrl) {
      const { rows } = await admin.query<{ n: number }>(
        'select count(*)::int as n from pg_stat_activity where datname = $1',
        [nameOf(databaseUrl)],
      );
      return rows[0]?.n ?? 0;
    },
    async cutConnections(databaseUrl) {
      await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [
        nameOf(databaseUrl),
      ]);
    },
    async stop() {
      await Promise.all(opened.map((database) => database.close()));
      await admin.end();
      await stopServer(cluster);
      await rm(scratch, { recursive: true, force: true });
    },
  };
}
