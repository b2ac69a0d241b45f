import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Log } from '../../observability/log.js';
import { canConnect, type Cluster, freePort, openCluster, serverUrl, startServer, stopServer } from './server.js';

/**
 * The embedded PostgreSQL of a data directory, shared by the processes that use the directory. PostgreSQL itself tells
 * who is in charge: every process holds a shared advisory lock on a connection of its own, one of them the owner's lock
 * too. The owner starts the server again when it dies; the last process to leave stops it. A killed process loses its
 * locks with its connection.
 */
export interface EmbeddedPostgres {
  url: string;
  stop(): Promise<void>;
}

const DATABASE = 'sparank';
const OWNER_LOCK = 712_010;
const MEMBER_LOCK = 712_011;
const WATCH_MS = 1000;

interface Credentials {
  port: number;
  password: string;
}

const credentialsFile = (dataDir: string): string => join(dataDir, 'postgres.json');

async function readCredentials(dataDir: string): Promise<Credentials | null> {
  const text = await readFile(credentialsFile(dataDir), 'utf8').catch(() => null);
  return text === null ? null : (JSON.parse(text) as Credentials);
}

async function writeCredentials(dataDir: string, credentials: Credentials): Promise<void> {
  const fresh = `${credentialsFile(dataDir)}.${process.pid}`;
  await writeFile(fresh, `${JSON.stringify(credentials)}\n`, { mode: 0o600 });
  await rename(fresh, credentialsFile(dataDir));
}

async function credentialsOf(dataDir: string): Promise<Credentials> {
  const kept = await readCredentials(dataDir);
  if (kept !== null) return kept;
  const made = { port: await freePort(), password: randomBytes(24).toString('base64url') };
  // `wx`: when two processes begin at once, the second reads what the first wrote.
  await writeFile(credentialsFile(dataDir), `${JSON.stringify(made)}\n`, { mode: 0o600, flag: 'wx' }).catch(
    () => undefined,
  );
  await sleep(20);
  return (await readCredentials(dataDir)) ?? made;
}

export async function startEmbedded(dataDir: string, logger: Log): Promise<EmbeddedPostgres> {
  await mkdir(dataDir, { recursive: true });
  const kept = await credentialsOf(dataDir);
  const { password } = kept;
  let { port } = kept;
  await chmod(credentialsFile(dataDir), 0o600);
  const cluster = await openCluster(join(dataDir, 'postgres'), password);

  const address = (database: string) => serverUrl(port, password, database);
  const begin = performance.now();
  while (!(await canConnect(address('postgres'))) && (await startServer(cluster, port, password)) === 'port_taken') {
    port = await freePort();
    await writeCredentials(dataDir, { port, password });
  }
  await makeDatabase(address('postgres'));
  logger.info({ port, ms: Math.round(performance.now() - begin) }, 'embedded PostgreSQL is ready');

  const membership = await watch(cluster, port, password, logger);
  return { url: address(DATABASE), stop: membership.leave };
}

async function makeDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  } catch (error) {
    const code = error instanceof pg.DatabaseError ? error.code : undefined;
    // Another process made it between the two statements.
    if (code !== '42P04' && code !== '23505') throw error;
  } finally {
    await client.end();
  }
}

const lockQuery = (name: string) => `select ${name}($1) as held`;

async function held(client: pg.Client, call: string, key: number): Promise<boolean> {
  const { rows } = await client.query<{ held: boolean }>(lockQuery(call), [key]);
  return rows[0]?.held;
}

/** Others that use the server, seen from a connection that holds no member's lock itself. */
async function otherMembers(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ n: number }>(
    `select count(*)::int as n from pg_locks where locktype = 'advisory' and classid = 0 and objid = $1 and objsubid = 1`,
    [MEMBER_LOCK],
  );
  return rows[0]?.n ?? 0;
}

async function watch(
  cluster: Cluster,
  port: number,
  password: string,
  logger: Log,
): Promise<{ leave: () => Promise<void> }> {
  // The maintenance database, so that nothing of ours keeps the other one from being dropped or restored.
  const url = serverUrl(port, password, 'postgres');
  let client: pg.Client | null = null;
  let owner = false;
  let leaving = false;
  const stopped = new AbortController();

  async function join(): Promise<void> {
    const next = new pg.Client({
      connectionString: url,
      keepAlive: true,
      connectionTimeoutMillis: 2000,
      application_name: 'sparank watch',
    });
    const forget = () => {
      if (client === next) client = null;
    };
    next.on('error', forget);
    next.on('end', forget);
    await next.connect();
    await held(next, 'pg_try_advisory_lock_shared', MEMBER_LOCK);
    client = next;
  }

  async function turn(): Promise<void> {
    if (client === null) await join();
    if (client !== null && !owner) owner = await held(client, 'pg_try_advisory_lock', OWNER_LOCK);
  }

  async function restart(): Promise<void> {
    if (!owner || (await canConnect(url))) return;
    logger.warn('embedded PostgreSQL has ended; starting it again');
    await startServer(cluster, port, password);
  }

  // Others must see this process before it says that it is ready.
  await turn();
  const loop = (async () => {
    while (!leaving) {
      try {
        // The lock went with the connection; whoever was the owner before takes it back, unless another process was
        // faster.
        const wasOwner = owner;
        if (client === null && wasOwner) await restart();
        if (client === null) owner = false;
        await turn().catch((error: unknown) => {
          owner = wasOwner;
          throw error;
        });
      } catch (error) {
        if (!leaving) logger.debug({ err: error }, 'embedded PostgreSQL does not answer');
      }
      await sleep(client === null ? WATCH_MS / 10 : WATCH_MS, undefined, { signal: stopped.signal }).catch(
        () => undefined,
      );
    }
  })();

  async function leave(): Promise<void> {
    if (leaving) return;
    leaving = true;
    stopped.abort();
    await loop;
    if (client === null) {
      if (owner) await stopServer(cluster);
      return;
    }
    const last = client;
    try {
      await last.query('select pg_advisory_unlock_shared($1)', [MEMBER_LOCK]);
      // The owner may be leaving in this very moment: a few tries decide which of the two puts out the light.
      for (let tries = 0; tries < 5 && !owner; tries++) {
        if ((await otherMembers(last)) > 0) break;
        owner = await held(last, 'pg_try_advisory_lock', OWNER_LOCK);
        if (!owner) await sleep(50);
      }
      if (owner && (await otherMembers(last)) === 0) await stopServer(cluster);
    } catch (error) {
      logger.debug({ err: error }, 'embedded PostgreSQL was gone before it was left');
    } finally {
      await last.end().catch(() => undefined);
    }
  }

  return { leave };
}
