import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { processesOf } from '../service/processes.js';
import { until } from '../support/until.js';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = join(ROOT, 'dist/cli/main.js');
const KEY = 'spk_a-key-for-the-examples';

export interface Started {
  /** What a pipeline has: the program's path, and who and where the service is. */
  environment: Record<string, string>;
  directory: string;
  stop(): Promise<void>;
}

/** `sparank start` in a directory of its own. */
export async function startSparank(settings: Record<string, string> = {}): Promise<Started> {
  const directory = await mkdtemp(join(tmpdir(), 'sparank-example-'));
  const dataDir = join(directory, 'data');
  const path = { PATH: process.env['PATH'] ?? '' };
  const service: ChildProcess = spawn(process.execPath, [MAIN, 'start', '--json'], {
    env: {
      ...path,
      ...{
        DATA_DIR: dataDir,
        PORT: '0',
        BOOTSTRAP_API_KEY: KEY,
        LOG_LEVEL: 'warn',
        THREADS: '1',
        SHUTDOWN_SECONDS: '1',
      },
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let printed = '';
  service.stdout?.setEncoding('utf8').on('data', (text: string) => (printed += text));
  await until('the service is ready', () => printed.includes('"docs"'));
  const { url } = JSON.parse(printed) as { url: string };
  return {
    environment: { ...path, HOME: directory, SPARANK_URL: url, SPARANK_API_KEY: KEY },
    directory,
    async stop() {
      const ended = once(service, 'exit');
      service.kill('SIGTERM');
      await ended;
      await until('nothing is left', () => processesOf(dataDir).length === 0);
      await rm(directory, { recursive: true, force: true });
    },
  };
}
