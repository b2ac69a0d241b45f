import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../support/until.js';
import { processesOf } from './processes.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The commands of the README, stopped as whoever starts them would. Processes are read from /proc. */
describe.runIf(process.platform === 'linux')('npm', () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sparank-npm-'));
  });
  afterEach(async () => {
    for (const { pid } of processesOf(dataDir)) process.kill(pid, 'SIGKILL');
    await rm(dataDir, { recursive: true, force: true });
  });

  it.each([
    [['start'], 'SIGTERM'],
    [['start'], 'SIGKILL'],
    [['run', 'worker'], 'SIGTERM'],
  ] as const)('%j that gets %s takes the service with it, in an orderly way', async (args, signal) => {
    const npm = spawn('npm', args, {
      cwd: ROOT,
      env: {
        PATH: process.env['PATH'],
        HOME: dataDir,
        DATA_DIR: dataDir,
        PORT: '0',
        THREADS: '1',
        SHUTDOWN_SECONDS: '2',
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    npm.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
    await until('the worker is ready', () => log.includes('the worker is ready'));
    expect(processesOf(dataDir).length).toBeGreaterThan(2);

    const ended = once(npm, 'exit');
    npm.kill(signal);
    await ended;
    await until('nothing of it runs any more', () => processesOf(dataDir).length === 0);
    expect(log).toContain('"msg":"stopping"');
    expect(log).toContain('"msg":"the worker has stopped"');
    // A PostgreSQL that was stopped removes it, one that was killed does not.
    expect(existsSync(join(dataDir, 'postgres', 'postmaster.pid'))).toBe(false);
  });
});
