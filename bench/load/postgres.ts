import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import {
  freePort,
  openCluster,
  runningPid,
  serverUrl,
  startServer,
  stopServer,
} from '../../src/database/embedded/server.js';
import { treeCpuSeconds } from '../support/process-time.js';

const PASSWORD = 'bench';

/** A PostgreSQL as `sparank start` brings it, every commit durable, that the bench can look into. */
export interface BenchPostgres {
  url: string;
  query<T>(text: string, values?: unknown[]): Promise<T[]>;
  /** Of the server with all its processes. */
  cpuSeconds(): number;
  close(): Promise<void>;
}

/** @param kept - folder that stays, with what is in it; absent: a new one that goes */
export async function startPostgres(flags: string[] = [], kept?: string): Promise<BenchPostgres> {
  const directory = kept ?? (await mkdtemp(join(tmpdir(), 'sparank-load-')));
  await mkdir(directory, { recursive: true });
  await chmod(directory, 0o755);
  const cluster = await openCluster(join(directory, 'postgres'), PASSWORD);
  const port = await freePort();
  const outcome = await startServer(cluster, port, PASSWORD, flags);
  const pid = await runningPid(cluster);
  if (outcome !== 'started' || pid === null) throw new Error('PostgreSQL did not start');
  const admin = new pg.Client({ connectionString: serverUrl(port, PASSWORD, 'postgres') });
  await admin.connect();
  const made = await admin.query(`select from pg_database where datname = 'sparank'`);
  if (made.rowCount === 0) await admin.query('create database sparank');
  await admin.end();
  const url = serverUrl(port, PASSWORD, 'sparank');
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return {
    url,
    query: async <T>(text: string, values: unknown[] = []) => (await client.query(text, values)).rows as T[],
    cpuSeconds: () => treeCpuSeconds(pid),
    async close() {
      await client.end();
      await stopServer(cluster);
      if (kept === undefined) await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
