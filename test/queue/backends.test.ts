import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { hasRedis, startRedis } from '../support/redis.js';

const SCRIPT = fileURLToPath(new URL('../support/backends-process.ts', import.meta.url));

/** The task that arrived, and the exit code of a process that nobody told to exit. */
async function runProcess(
  environment: Record<string, string>,
): Promise<{ message: unknown; code: number | null; lingered: number }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sparank-backends-'));
  try {
    const child = fork(SCRIPT, [dataDir], { execArgv: ['--import', 'tsx'], env: { ...process.env, ...environment } });
    let message: unknown = null;
    let told = 0;
    child.once('message', (value) => {
      message = value;
      told = Date.now();
    });
    const deadline = setTimeout(() => child.kill('SIGKILL'), 60_000);
    const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
    clearTimeout(deadline);
    return { message, code, lingered: Date.now() - told };
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

const TASK = { taskId: expect.stringMatching(/^tsk_/) as string };

describe('a process that has closed its backends', () => {
  it('ends by itself, soon: embedded PostgreSQL, its queue in PostgreSQL', async () => {
    const { message, code, lingered } = await runProcess({});
    expect({ message, code }).toEqual({ message: TASK, code: 0 });
    expect(lingered).toBeLessThan(5000);
  });

  it.runIf(hasRedis())('ends by itself, soon: embedded PostgreSQL, its queue in Redis', async () => {
    const redis = await startRedis();
    const { message, code, lingered } = await runProcess({ REDIS_URL: redis.url });
    await redis.stop();
    expect({ message, code }).toEqual({ message: TASK, code: 0 });
    expect(lingered).toBeLessThan(5000);
  });
});
