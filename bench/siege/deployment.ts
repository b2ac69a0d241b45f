import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, openSync, closeSync } from 'node:fs';
import { appendFile, chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { ServiceClient } from '../../test/support/service-client.js';
import {
  type Cluster,
  freePort,
  openCluster,
  runningPid,
  serverUrl,
  startServer,
  stopServer,
} from '../../src/database/embedded/server.js';
import { FAKETIME } from './clock.js';
import { type Dump, restoreDump } from './dump.js';
import { type Disk, openDisk } from './disk.js';
import { Proxy } from './proxy.js';
import { startRedis, type RedisServer } from './redis.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const PASSWORD = 'siege';
export const KEY = 'spk_a-key-for-the-siege-of-the-service';
const RESTART_MS = 100;
const LEASE_SECONDS = 2;
const QUERY_MS = 60_000;
const QUERY_PAUSE_MS = 200;
const STRANGER_MS = 30_000;

export interface Part {
  kind: 'api' | 'worker';
  process: ChildProcess;
}

export interface Exit {
  kind: Part['kind'];
  how: string;
}

/**
 * The service as it is run for many: an API process and two workers, a PostgreSQL and a Redis of their own behind
 * proxies, storage and scratch on a disk of limited size. A process that ends is started again, as a service manager
 * would.
 */
export class Deployment {
  readonly directory: string;
  readonly dataDir: string;
  readonly killDir: string;
  readonly disk: Disk;
  readonly redis: RedisServer | null;
  readonly postgresProxy: Proxy;
  readonly redisProxy: Proxy | null;
  readonly client: ServiceClient;
  /** Ends of processes that nobody asked for, with a code of their own. */
  readonly exits: Exit[] = [];
  readonly parts = new Set<Part>();
  readonly leaseSeconds = LEASE_SECONDS;
  readonly #extras = new Set<ChildProcess>();
  restarts = 0;
  /** Jobs that were accepted after a dump that was restored: nobody knows them any more. */
  readonly forgotten = new Set<string>();
  /** Counted at the beginning and at the end of each. */
  restores = 0;
  readonly #cluster: Cluster;
  readonly #postgresPort: number;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #log: number;
  #stopping = false;
  #strangers = 0;

  private constructor(made: {
    directory: string;
    disk: Disk;
    redis: RedisServer | null;
    postgresProxy: Proxy;
    redisProxy: Proxy | null;
    cluster: Cluster;
    postgresPort: number;
    apiPort: number;
    settings: Record<string, string>;
  }) {
    this.directory = made.directory;
    this.disk = made.disk;
    this.dataDir = join(made.disk.path, 'data');
    this.killDir = join(made.directory, 'kill');
    this.redis = made.redis;
    this.postgresProxy = made.postgresProxy;
    this.redisProxy = made.redisProxy;
    this.#cluster = made.cluster;
    this.#postgresPort = made.postgresPort;
    this.client = new ServiceClient(`http://127.0.0.1:${String(made.apiPort)}`, KEY);
    this.#log = openSync(join(made.directory, 'log'), 'a');
    this.#environment = {
      PATH: process.env['PATH'],
      DATA_DIR: this.dataDir,
      STORAGE_URL: `file://${this.storageDir}`,
      PORT: String(made.apiPort),
      DATABASE_URL: serverUrl(made.postgresProxy.port, PASSWORD, 'sparank'),
      ...(made.redisProxy === null ? {} : { REDIS_URL: `redis://127.0.0.1:${String(made.redisProxy.port)}` }),
      BOOTSTRAP_API_KEY: KEY,
      WORKERS: '0',
      THREADS: '1',
      LEASE_SECONDS: String(LEASE_SECONDS),
      SHUTDOWN_SECONDS: '2',
      TASK_ATTEMPTS: '100',
      REQUESTS_PER_MINUTE: '1000000',
      SPARANK_TEST_KILL: this.killDir,
      ...(FAKETIME === null
        ? {}
        : {
            LD_PRELOAD: FAKETIME,
            FAKETIME_TIMESTAMP_FILE: this.clockFile,
            FAKETIME_CACHE_DURATION: '1',
            FAKETIME_DONT_FAKE_MONOTONIC: '1',
            NO_FAKE_STAT: '1',
          }),
      ...made.settings,
    };
  }

  get storageDir(): string {
    return join(this.disk.path, 'storage');
  }

  get clockFile(): string {
    return join(this.directory, 'clock');
  }

  get logFile(): string {
    return join(this.directory, 'log');
  }

  static async start(
    settings: Record<string, string> = {},
    parts: { redis: boolean } = { redis: true },
  ): Promise<Deployment> {
    if (!existsSync(MAIN)) throw new Error(`${MAIN} is missing; run npm run build first`);
    const directory = await mkdtemp(join(tmpdir(), 'sparank-siege-'));
    await chmod(directory, 0o755);
    const cluster = await openCluster(join(directory, 'postgres'), PASSWORD);
    const postgresPort = await freePort();
    // Killed processes lose nothing that was written: only a power cut needs fsync.
    await startServer(cluster, postgresPort, PASSWORD, FLAGS);
    const admin = new pg.Client({ connectionString: serverUrl(postgresPort, PASSWORD, 'postgres') });
    await admin.connect();
    await admin.query('create database sparank');
    await admin.end();
    const redis = parts.redis ? await startRedis(join(directory, 'redis')) : null;
    const deployment = new Deployment({
      directory,
      disk: await openDisk(join(directory, 'disk')),
      redis,
      postgresProxy: await Proxy.open(postgresPort),
      redisProxy: redis === null ? null : await Proxy.open(redis.port),
      cluster,
      postgresPort,
      apiPort: await freePort(),
      settings,
    });
    await mkdir(deployment.killDir);
    await writeFile(deployment.clockFile, '+0\n');
    deployment.startPart('api');
    await deployment.answers();
    deployment.startPart('worker');
    deployment.startPart('worker');
    return deployment;
  }

  startPart(kind: Part['kind']): void {
    const child = spawn(process.execPath, [MAIN, kind === 'api' ? 'start' : 'worker'], {
      env: this.#environment,
      stdio: ['ignore', 'ignore', this.#log],
    });
    const part: Part = { kind, process: child };
    this.parts.add(part);
    child.once('close', (code, signal) => {
      this.parts.delete(part);
      if (this.#stopping) return;
      if (signal !== 'SIGKILL') this.exits.push({ kind, how: signal ?? `exit code ${String(code)}` });
      this.restarts++;
      setTimeout(() => this.#stopping || this.startPart(kind), RESTART_MS);
    });
  }

  /** One more worker, which is not started again, with settings of its own. */
  startExtra(environment: NodeJS.ProcessEnv): ChildProcess {
    const child = spawn(process.execPath, [MAIN, 'worker'], {
      env: { ...this.#environment, ...environment },
      stdio: ['ignore', 'ignore', this.#log],
    });
    this.#extras.add(child);
    child.once('close', () => this.#extras.delete(child));
    return child;
  }

  partsOf(kind: Part['kind']): Part[] {
    return [...this.parts].filter((part) => part.kind === kind);
  }

  async answers(seconds = 120): Promise<void> {
    for (const deadline = Date.now() + seconds * 1000; Date.now() < deadline; await sleep(100)) {
      const answer = await fetch(`${this.client.url}/readyz`, { signal: AbortSignal.timeout(5000) }).catch(() => null);
      if (answer?.ok === true) return;
    }
    throw new Error('the API does not answer');
  }

  /** Straight to PostgreSQL, past the proxy. */
  /** Asked again while PostgreSQL is away: what looks at the service must outlive its faults. */
  async query<T>(text: string, values: unknown[] = []): Promise<T[]> {
    for (const deadline = Date.now() + QUERY_MS; ; await sleep(QUERY_PAUSE_MS)) {
      try {
        return await this.#queryOnce<T>(text, values);
      } catch (error) {
        // What the server says about the statement itself has a position; it will not change.
        if (Date.now() > deadline || (error as { position?: string }).position !== undefined) throw error;
      }
    }
  }

  async #queryOnce<T>(text: string, values: unknown[]): Promise<T[]> {
    const client = new pg.Client({ connectionString: this.databaseUrl });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return (await client.query(text, values)).rows as T[];
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  get databaseUrl(): string {
    return serverUrl(this.#postgresPort, PASSWORD, 'sparank');
  }

  async killPostgres(downMs: number): Promise<void> {
    const pid = await runningPid(this.#cluster);
    if (pid !== null) process.kill(pid, 'SIGKILL');
    await sleep(downMs);
    await startServer(this.#cluster, this.#postgresPort, PASSWORD, FLAGS);
  }

  note(text: string): Promise<void> {
    return appendFile(this.logFile, `${JSON.stringify({ siege: text, time: Date.now() })}\n`);
  }

  /** SIGTERM to every process; the data stay. */
  async stopParts(): Promise<void> {
    this.#stopping = true;
    const all = [...[...this.parts].map((part) => part.process), ...this.#extras];
    const ended = all.map(
      (child) =>
        new Promise<void>((done) => {
          child.once('close', () => done());
          child.kill('SIGTERM');
          setTimeout(() => child.kill('SIGKILL'), 30_000).unref();
        }),
    );
    await Promise.all(ended);
  }

  /** As an operator does: everything is stopped, the database is put back, everything is started. */
  async restore(dump: Dump): Promise<void> {
    const kinds = [...this.parts].map(({ kind }) => kind);
    this.restores++;
    await this.stopParts();
    for (const id of await restoreDump(this.databaseUrl, dump)) this.forgotten.add(id);
    this.#stopping = false;
    for (const kind of kinds) this.startPart(kind);
    this.restores++;
    await this.answers();
  }

  /** An API process with this storage and a new database of its own. How it ended, and what it said. */
  async runStranger(): Promise<{ code: number | null; log: string }> {
    const name = `stranger_${String(++this.#strangers)}`;
    await this.query(`create database ${name}`);
    const child = spawn(process.execPath, [MAIN, 'start'], {
      env: {
        ...this.#environment,
        DATA_DIR: join(this.directory, name),
        DATABASE_URL: serverUrl(this.#postgresPort, PASSWORD, name),
        REDIS_URL: '',
        PORT: '0',
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
    const patience = setTimeout(() => child.kill('SIGKILL'), STRANGER_MS);
    const code = await new Promise<number | null>((done) => child.once('close', done));
    clearTimeout(patience);
    return { code, log };
  }

  async remove(): Promise<void> {
    await this.stopParts();
    await this.postgresProxy.close();
    await this.redisProxy?.close();
    await this.redis?.stop();
    await stopServer(this.#cluster);
    closeSync(this.#log);
    await this.disk.close();
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

const FLAGS = ['-c', 'fsync=off', '-c', 'full_page_writes=off'];
