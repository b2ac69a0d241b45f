import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { JobView } from '../../src/api/jobs/schema.js';
import { ServiceClient } from '../../test/support/service-client.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
export const KEY = 'spk_a-key-for-the-benchmarks-of-the-service';
const START_SECONDS = 60;

export interface Part {
  pid: number;
  /** SIGTERM, and the end of the process. */
  stop(): Promise<void>;
}

/** The built service on its embedded PostgreSQL: the API in one process, workers in others. */
export class Service {
  readonly dataDir: string;
  url = '';
  readonly #settings: Record<string, string>;
  readonly #parts: Part[] = [];
  readonly #log: number;

  private constructor(dataDir: string, settings: Record<string, string>) {
    this.dataDir = dataDir;
    this.#settings = settings;
    this.#log = openSync(join(dataDir, 'log'), 'a');
  }

  static async start(settings: Record<string, string> = {}): Promise<{ service: Service; api: Part }> {
    if (!existsSync(MAIN)) throw new Error(`${MAIN} is missing; run npm run build first`);
    const service = new Service(await mkdtemp(join(tmpdir(), 'sparank-bench-')), {
      PORT: '0',
      WORKERS: '0',
      ...settings,
    });
    try {
      const { part, child } = service.#spawn(['start', '--json'], {});
      service.url = await address(child);
      return { service, api: part };
    } catch (error) {
      console.error(readFileSync(join(service.dataDir, 'log'), 'utf8'));
      await service.close();
      throw error;
    }
  }

  get client(): ServiceClient {
    return new ServiceClient(this.url, KEY);
  }

  startWorker(settings: Record<string, string> = {}): Part {
    return this.#spawn(['worker'], settings).part;
  }

  /** Submits a job, waits for its end and returns it; a job that does not succeed is an error. */
  async run(spec: Record<string, unknown>): Promise<JobView> {
    const { id } = await this.client.submit(spec);
    for (;;) {
      const answer = await this.client.job(id, { waitSeconds: 60 });
      const { status, error } = answer?.job ?? {};
      if (answer && status === 'succeeded') return answer.job;
      if (status === 'failed' || status === 'canceled') throw new Error(`the job ${status}: ${error?.detail ?? ''}`);
    }
  }

  async close(): Promise<void> {
    for (let part = this.#parts.pop(); part; part = this.#parts.pop()) await part.stop();
    closeSync(this.#log);
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 5 });
  }

  #spawn(args: string[], settings: Record<string, string>): { part: Part; child: ChildProcess } {
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: {
        PATH: process.env['PATH'],
        DATA_DIR: this.dataDir,
        BOOTSTRAP_API_KEY: KEY,
        ...this.#settings,
        ...settings,
      },
      // The default logging is part of what is measured; a file takes it, as a service manager would.
      stdio: ['ignore', 'pipe', this.#log],
    });
    const ended = new Promise<void>((done) => child.once('close', () => done()));
    const stop = async () => {
      child.kill('SIGTERM');
      await ended;
    };
    const part: Part = { pid: child.pid ?? 0, stop };
    this.#parts.push(part);
    return { part, child };
  }
}

/** What `start --json` prints once it listens. */
async function address(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (part: string) => (text += part));
  for (const deadline = Date.now() + START_SECONDS * 1000; Date.now() < deadline; await sleep(50)) {
    const url = /"url":\s*"([^"]+)"/.exec(text)?.[1];
    if (url !== undefined) return url;
    if (child.exitCode !== null) break;
  }
  throw new Error('the service did not start');
}
