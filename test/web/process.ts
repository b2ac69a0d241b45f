import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from '../support/until.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Process {
  url: string;
  key: string;
  directory: string;
  close(): Promise<void>;
}

/** The service as `npm start` runs it: embedded database, a real worker. */
export async function startProcess(): Promise<Process> {
  const directory = await mkdtemp(join(tmpdir(), 'sparank-web-'));
  const service: ChildProcess = spawn(process.execPath, [MAIN, 'start', '--json'], {
    env: { PATH: process.env['PATH'], DATA_DIR: directory, PORT: '0', LOG_LEVEL: 'warn' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  service.stdout?.setEncoding('utf8').on('data', (text: string) => (printed += text));
  await until('the service listens', () => printed.trimEnd().endsWith('}'));
  const { url } = JSON.parse(printed) as { url: string };
  const key = (await readFile(join(directory, 'api-key'), 'utf8')).trim();
  return {
    ...{ url, key, directory },
    async close() {
      service.kill('SIGTERM');
      await once(service, 'exit');
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
