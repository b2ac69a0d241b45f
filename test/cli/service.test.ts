import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processesOf } from '../service/processes.js';
import { writeExample } from '../service/example.js';
import { until } from '../support/until.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

describe('the commands against a started service', () => {
  let directory: string;
  let dataDir: string;
  let environment: NodeJS.ProcessEnv;
  let service: ChildProcess;
  let printed = '';
  let files: { model: string; calibration: string };

  const sparank = (...args: string[]) =>
    new Promise<{ code: number; out: string; err: string }>((resolve) => {
      const child = execFile(process.execPath, [MAIN, ...args], { env: environment }, (_, out, err) =>
        resolve({ code: child.exitCode ?? -1, out, err }),
      );
    });

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sparank-cli-service-'));
    dataDir = join(directory, 'data');
    files = await writeExample(directory);
    environment = { PATH: process.env['PATH'], DATA_DIR: dataDir, LOG_LEVEL: 'warn', SHUTDOWN_SECONDS: '1' };
    service = spawn(process.execPath, [MAIN, 'start'], {
      env: { ...environment, PORT: '0' },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    service.stdout?.setEncoding('utf8').on('data', (text: string) => (printed += text));
    await until('the service is ready', () => printed.includes('API key'));
    environment = { ...environment, SPARANK_URL: /listens on (\S+)/.exec(printed)?.[1] };
  });
  afterAll(async () => {
    // Unless the last test has done so. PostgreSQL ends with the last process that leaves; one that is killed leaves it
    // behind.
    if (service.exitCode === null && service.signalCode === null) {
      service.kill('SIGTERM');
      await once(service, 'exit');
    }
    await until('nothing is left', () => processesOf(dataDir).length === 0);
    await rm(directory, { recursive: true, force: true });
  });

  const submit = (...rest: string[]) =>
    sparank(
      ...['submit', files.model, '--calibration', files.calibration, '--target', 'parameter_ratio=2'],
      ...['--samples', '500', '--inputs', 'symmetric', '--batch-sizes', '1', '--effort', '1', ...rest],
    );

  it('prints the address, the documentation and, once, the key with its place', () => {
    expect(printed).toMatch(/listens on http:\/\/127\.0\.0\.1:\d+/);
    expect(printed).toContain('/docs');
    expect(printed).toMatch(/spk_\S+ \(kept in .*api-key\)/);
  });

  it('submits, watches, lists and downloads', async () => {
    const submitted = await submit('--iterations', '2', '--label', 'run=7');
    expect(submitted.err).toBe('');
    const id = submitted.out.trim();
    const watched = await sparank('watch', id);
    expect(watched.err).toMatch(/layer conv2: compressed/);
    expect(watched.out).toMatch(/parameters .*2\.\d\dx/);
    expect(watched.code).toBe(0);
    expect((await sparank('jobs', '--label', 'run=7')).out).toContain(`${id}  succeeded`);
    expect((await sparank('jobs', '--label', 'run=8', '--json')).out).toContain('"data": []');
    const output = join(directory, 'downloaded');
    expect((await sparank('get', id, '--output', output)).code).toBe(0);
    expect((await readdir(output)).sort()).toEqual(['manifest.json', 'model.onnx', 'report.html', 'report.json']);
  });

  it('takes several targets, shows a line for each point, and downloads every model', async () => {
    // The first target is the one that `submit` names.
    const submitted = await submit('--iterations', '2', '--target', 'mac_ratio=3', '--constraint', 'min_mac_ratio=2.5');
    const id = submitted.out.trim();
    const watched = await sparank('watch', id);
    expect(watched.out).toMatch(/^1 +parameter_ratio 2 .* model\.onnx +FAILED constraints\.min_mac_ratio$/m);
    expect(watched.out).toMatch(/^2 +mac_ratio 3 .* model-2\.onnx +passed$/m);
    expect(watched.code).toBe(0);
    const output = join(directory, 'points');
    expect((await sparank('get', id, '--output', output)).code).toBe(0);
    const expected = ['curve.svg', 'manifest.json', 'model-2.onnx', 'model.onnx', 'report.html', 'report.json'];
    expect((await readdir(output)).sort()).toEqual(expected);
  });

  it('ends with 3 after a job whose verdict fails, and leaves what it made where it was told to', async () => {
    const output = join(directory, 'refused');
    const refused = ['--iterations', '2', '--constraint', 'min_speedup=50'];
    const { code, out } = await submit(...refused, '--wait', '--output', output, '--json');
    expect(JSON.parse(out)).toMatchObject({ status: 'succeeded', verdict: { passed: false } });
    expect(code).toBe(3);
    expect(await readdir(output)).toEqual(expect.arrayContaining(['model.onnx', 'report.json']));
  });

  it('cancels a job; watching it ends with 1', async () => {
    const id = (await submit('--iterations', '1000')).out.trim();
    expect((await sparank('cancel', id)).out).toMatch(/cancel/);
    const { code, out } = await sparank('watch', id);
    expect(out).toContain('canceled');
    expect(code).toBe(1);
  });

  it('shows what the service has against a job', async () => {
    const { code, err } = await submit('--exclude', 'no_such_layer');
    expect(err).toContain('no_such_layer');
    expect(code).toBe(1);
    expect((await sparank('watch', 'job_none')).code).toBe(1);
  });

  it('makes teams and keys, which open the service until they are revoked, and prints usage', async () => {
    const team = (await sparank('teams', 'create', 'vision', '--weight', '2', '--running-tasks', '3')).out.trim();
    expect(team).toMatch(/^team_/);
    const changed = await sparank('teams', 'set', team, '--running-tasks', 'default', '--queued-jobs', '9');
    expect(changed.out).toBe(`${team}  vision  weight 2  queued_jobs 9\n`);
    const key = (await sparank('keys', 'create', 'ci', '--team', team, '--scope', 'jobs:read')).out.trim();
    expect((await sparank('jobs', '--api-key', key, '--json')).out).toContain('"data": []');
    const [shown] = (await sparank('keys', 'list', '--team', team)).out.split('\n');
    expect(shown).toMatch(/^key_\S+ {2}spk_.{4}… {2}ci {2}jobs:read {2}used \d{4}-/);
    await sparank('keys', 'revoke', shown?.split(' ')[0] ?? '', '--team', team);
    expect((await sparank('jobs', '--api-key', key)).err).toContain('revoked');
    const usage = (await sparank('usage', '--by', 'team', '--team', 'all')).out.split('\r\n');
    expect(usage[0]).toContain('device_seconds');
    expect(usage[1]).toContain('team_default');
    expect((await sparank('teams', 'create', 'x', '--weight', 'heavy')).code).toBe(2);
  });

  it('stops at SIGTERM with everything it started', async () => {
    service.kill('SIGTERM');
    const [code] = (await once(service, 'exit')) as [number];
    expect(code).toBe(0);
    await until('nothing is left', () => processesOf(dataDir).length === 0);
  });
});
