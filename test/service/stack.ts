import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { freePort, serverUrl } from '../../src/database/embedded/server.js';
import { Sparank } from '../../src/client/node/index.js';
import { ServiceClient } from '../support/service-client.js';
import { entriesBelow } from '../support/below.js';
import { until } from '../support/until.js';
import { processesOf } from './processes.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
export const KEY = 'spk_a-key-for-the-tests-of-the-service';

export interface TaskRow {
  id: string;
  kind: string;
  layer: number;
  state: string;
  attempt: number;
  failures: number;
  worker_id: string | null;
}

/** The service as it runs in production: an API process and workers of their own, on the embedded PostgreSQL. */
export class Stack {
  readonly dataDir: string;
  /** Sees every answer as it is. */
  readonly client: ServiceClient;
  /** What people use. */
  readonly sparank: Sparank;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #processes: ChildProcess[] = [];
  log = '';
  api: ChildProcess | null = null;

  private constructor(dataDir: string, port: number, settings: Record<string, string>) {
    this.dataDir = dataDir;
    const url = `http://127.0.0.1:${port}`;
    this.client = new ServiceClient(url, KEY);
    this.sparank = new Sparank({ url, apiKey: KEY });
    this.#environment = {
      PATH: process.env['PATH'],
      DATA_DIR: dataDir,
      PORT: String(port),
      BOOTSTRAP_API_KEY: KEY,
      WORKERS: '0',
      THREADS: '1',
      LEASE_SECONDS: '2',
      SHUTDOWN_SECONDS: '1',
      SPARANK_TEST_HOLD: join(dataDir, 'hold'),
      ...settings,
    };
  }

  static async start(settings: Record<string, string> = {}): Promise<Stack> {
    const dataDir = await mkdtemp(join(tmpdir(), 'sparank-service-'));
    const stack = new Stack(dataDir, await freePort(), settings);
    await stack.startApi();
    stack.startWorker();
    stack.startWorker();
    // Each looks at its engine and its disk first, which takes long on a busy machine.
    await until(
      'two workers are registered',
      async () => (await stack.query('select id from workers')).length === 2,
      60,
    );
    return stack;
  }

  async startApi(): Promise<void> {
    this.api = this.#spawn('start');
    await until('the API answers', async () =>
      this.client.jobs({ limit: '1' }).then(
        () => true,
        () => false,
      ),
    );
  }

  startWorker(): ChildProcess {
    return this.#spawn('worker');
  }

  #spawn(command: string): ChildProcess {
    const child = spawn(process.execPath, [MAIN, command], {
      env: this.#environment,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.log += text));
    this.#processes.push(child);
    return child;
  }

  /** The compute processes of the workers. */
  children() {
    return processesOf(this.dataDir).filter(({ command }) => command.includes(join('compute', 'child', 'main.js')));
  }

  /** Whether each process that was started still runs. */
  running(): boolean[] {
    return this.#processes.map(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  }

  async postmaster(): Promise<number> {
    return Number((await readFile(join(this.dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0]);
  }

  async query<T>(text: string, values: unknown[] = []): Promise<T[]> {
    const client = new pg.Client({ connectionString: await this.#databaseUrl() });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query(text, values)).rows as T[];
    } finally {
      await client.end();
    }
  }

  async #databaseUrl(): Promise<string> {
    const given = this.#environment['DATABASE_URL'];
    if (given !== undefined) return given;
    const file = await readFile(join(this.dataDir, 'postgres.json'), 'utf8');
    const { port, password } = JSON.parse(file) as { port: number; password: string };
    return serverUrl(port, password, 'sparank');
  }

  tasks(jobId: string): Promise<TaskRow[]> {
    return this.query('select id, kind, layer, state, attempt, failures, worker_id from tasks where job_id = $1', [
      jobId,
    ]);
  }

  /** From now on the layer with this index, or the assembly of this point, does not end, until `release`. */
  hold(what: number | `point ${number}`): Promise<void> {
    return writeFile(join(this.dataDir, 'hold'), String(what));
  }

  release(): Promise<void> {
    return rm(join(this.dataDir, 'hold'), { force: true });
  }

  /** Waits until the layer that is held is the only one left, and returns the tasks as they are then. */
  midLayer(jobId: string): Promise<{ running: TaskRow; done: TaskRow[] }> {
    return this.midTask(jobId, 'layer');
  }

  /** Waits until the task that is held is the only one left of several of its kind. */
  async midTask(jobId: string, wanted: 'layer' | 'assemble'): Promise<{ running: TaskRow; done: TaskRow[] }> {
    for (const deadline = Date.now() + 240_000; Date.now() < deadline; await sleep(50)) {
      const tasks = await this.tasks(jobId);
      const running = tasks.find(({ kind, state }) => kind === wanted && state === 'running');
      const done = tasks.filter(({ state }) => state === 'succeeded');
      const sameDone = done.filter(({ kind }) => kind === wanted).length;
      if (running && sameDone > 0 && done.length === tasks.length - 1) return { running, done };
    }
    throw new Error(`no ${wanted} task was held`);
  }

  async scratchFiles(): Promise<string[]> {
    const entries = await entriesBelow(join(this.dataDir, 'scratch'));
    const paths = entries.map(({ parentPath, name }) => join(parentPath, name).slice(this.dataDir.length + 1));
    return paths.filter((path) => path.includes('tsk_') || path.includes('task'));
  }

  /** Stops everything; what is left behind is for the test to look at. */
  async stop(): Promise<void> {
    for (const child of this.#processes) child.kill('SIGTERM');
    await until('every process has ended', () =>
      this.#processes.every((c) => c.exitCode !== null || c.signalCode !== null),
    );
  }

  async remove(): Promise<void> {
    await rm(this.dataDir, { recursive: true, force: true });
  }
}
