import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processesOf } from '../service/processes.js';
import { until } from '../support/until.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

describe('sparank demo', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sparank-demo-test-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('removes everything when it is interrupted in the middle of a job', async () => {
    // The database of somebody else in the environment must not be touched.
    const env = { PATH: process.env['PATH'], TMPDIR: directory, DATABASE_URL: 'postgres://nobody@127.0.0.1:9/none' };
    const demo = spawn(process.execPath, [MAIN, 'demo'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let shown = '';
    demo.stderr.setEncoding('utf8').on('data', (text: string) => (shown += text));
    await until('the job runs', () => shown.includes(' running '));
    const started = performance.now();
    demo.kill('SIGINT');
    const [code] = (await once(demo, 'exit')) as [number];
    expect(code).toBe(130);
    expect(performance.now() - started).toBeLessThan(15_000);
    expect(await readdir(directory)).toEqual([]);
    await until('no process is left', () => processesOf(directory).length === 0, 5);
  });
});
