import { chown, mkdir, open, readdir, readFile, readlink, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { InfrastructureError } from '../../errors/index.js';
import { findBinaries, type PostgresBinaries } from './binaries.js';
import { launch, type Launch, planLaunch } from './launch.js';
import { unprivilegedUser } from './system-user.js';

/**
 * One PostgreSQL cluster in a directory: made when it is missing, started, found again, stopped. Knows nothing of who
 * owns it.
 */
export interface Cluster {
  directory: string;
  logFile: string;
  binaries: PostgresBinaries;
  plan: Launch;
}

const USER = 'postgres';
const START_DEADLINE_MS = 60_000;
const LOG_LIMIT_BYTES = 8 * 2 ** 20;

export const serverUrl = (port: number, password: string, database: string): string =>
  `postgresql://${USER}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`;

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new InfrastructureError('unavailable', 'no free port');
  return address.port;
}

/** Makes the cluster when there is none. Several processes may do so at once: the first to finish wins. */
export async function openCluster(directory: string, password: string): Promise<Cluster> {
  const binaries = await findBinaries();
  const user = await unprivilegedUser();
  const parent = dirname(directory);
  await mkdir(parent, { recursive: true });
  const plan = await planLaunch(user, [parent, dirname(binaries.postgres)]);
  const cluster = { directory, logFile: join(parent, 'postgres.log'), binaries, plan };
  if (await exists(join(directory, 'PG_VERSION'))) return cluster;

  const fresh = `${directory}.${process.pid}.new`;
  const passwordFile = `${fresh}.password`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { mode: 0o700 });
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  try {
    if (user !== null) for (const path of [fresh, passwordFile]) await chown(path, user.uid, user.gid);
    await initialise(cluster, fresh, passwordFile);
    await rename(fresh, directory).catch(async (cause: unknown) => {
      if (!(await exists(join(directory, 'PG_VERSION')))) throw cause;
    });
  } finally {
    await rm(passwordFile, { force: true });
    await rm(fresh, { recursive: true, force: true });
  }
  return cluster;
}

async function initialise(cluster: Cluster, directory: string, passwordFile: string): Promise<void> {
  const args = ['-D', directory, '-U', USER, '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8'];
  const child = launch(cluster.plan, cluster.binaries.initdb, [...args, '--locale=C', '--no-instructions'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    cwd: dirname(directory),
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('close', resolve),
  );
  if (code !== 0) {
    throw new InfrastructureError(
      'unavailable',
      `the embedded PostgreSQL could not be made in ${directory}: ${said.trim()}`,
    );
  }
}

/**
 * Process id of the server in this directory, or null. A pid file left by a crash may name a process that is something
 * else by now.
 */
export async function runningPid(cluster: Cluster): Promise<number | null> {
  const file = await readFile(join(cluster.directory, 'postmaster.pid'), 'utf8').catch(() => null);
  if (file === null) return null;
  const pid = Number(file.split('\n')[0]);
  return (await isServer(cluster, pid)) ? pid : null;
}

/** Whether a living process is the server of this directory, as far as the system tells. */
async function isServer(cluster: Cluster, pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (process.platform !== 'linux') return true;
  // A process that has ended and that nobody has collected yet has none.
  return (await readlink(`/proc/${pid}/cwd`).catch(() => null)) === cluster.directory;
}

export async function canConnect(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

export type StartOutcome = 'started' | 'port_taken';

/**
 * Starts the server and waits until it answers. It runs in its own process group and logs to a file, so that neither
 * Ctrl-C in the terminal nor a killed parent takes it along in the middle of a write.
 */
export async function startServer(
  cluster: Cluster,
  port: number,
  password: string,
  flags: string[] = [],
): Promise<StartOutcome> {
  const url = serverUrl(port, password, 'postgres');
  let said = 0;
  const deadline = Date.now() + START_DEADLINE_MS;
  while (Date.now() < deadline) {
    const { child, logOffset } = await spawnServer(cluster, port, flags);
    said = logOffset;
    while (child.exitCode === null && child.signalCode === null && Date.now() < deadline) {
      if (await canConnect(url)) return 'started';
      await sleep(50);
    }
    // It ended: another process was faster, the port is taken, or the shared memory of a killed server is not yet free.
    if ((await runningPid(cluster)) !== null) {
      while (Date.now() < deadline && (await runningPid(cluster)) !== null) {
        if (await canConnect(url)) return 'started';
        await sleep(100);
      }
    } else if ((await logFrom(cluster, said)).includes('could not bind')) return 'port_taken';
    await sleep(200);
  }
  throw new InfrastructureError(
    'unavailable',
    `the embedded PostgreSQL does not start: ${(await logFrom(cluster, said)).trim()}`,
  );
}

/**
 * PostgreSQL refuses to start when its old pid file names a living process, which after a crash (in a container, say)
 * may be any process. Only then, and only while no process at all works in the directory: otherwise the file protects
 * the data.
 */
async function removeMisleadingPidFile(cluster: Cluster): Promise<void> {
  if (process.platform !== 'linux' || (await runningPid(cluster)) !== null) return;
  for (const pid of await readdir('/proc')) {
    if (/^\d+$/.test(pid) && (await readlink(`/proc/${pid}/cwd`).catch(() => null)) === cluster.directory) return;
  }
  await rm(join(cluster.directory, 'postmaster.pid'), { force: true });
}

async function spawnServer(cluster: Cluster, port: number, flags: string[]) {
  await removeMisleadingPidFile(cluster);
  const size = await stat(cluster.logFile).then(
    (file) => file.size,
    () => 0,
  );
  const tooLong = size > LOG_LIMIT_BYTES;
  const log = await open(cluster.logFile, tooLong ? 'w' : 'a', 0o600);
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    shared_buffers: '64MB',
    log_min_messages: 'warning',
  };
  const args = ['-D', cluster.directory, '-p', String(port)];
  for (const [name, value] of Object.entries(settings)) args.push('-c', `${name}=${value}`);
  try {
    const child = launch(cluster.plan, cluster.binaries.postgres, [...args, ...flags], {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      cwd: dirname(cluster.directory),
    });
    await new Promise<void>((resolve, reject) => child.once('error', reject).once('spawn', resolve));
    child.unref();
    return { child, logOffset: tooLong ? 0 : size };
  } finally {
    await log.close();
  }
}

async function logFrom(cluster: Cluster, offset: number): Promise<string> {
  const bytes = await readFile(cluster.logFile).catch(() => Buffer.alloc(0));
  return bytes.subarray(offset).toString();
}

/** Fast shutdown: connections are cut, nothing committed is lost. */
export async function stopServer(cluster: Cluster): Promise<void> {
  const pid = await runningPid(cluster);
  if (pid === null) return;
  process.kill(pid, 'SIGINT');
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    // Not the pid file, which goes before the process does.
    if (!(await isServer(cluster, pid))) return;
    await sleep(30);
  }
  process.kill(pid, 'SIGQUIT');
}
