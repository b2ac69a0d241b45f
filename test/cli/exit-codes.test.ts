import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeExample } from '../service/example.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

interface Ended {
  code: number;
  out: string;
  err: string;
}

let directory: string;
let model: string;
let calibration: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sparank-cli-'));
  ({ model, calibration } = await writeExample(directory));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const environment = () => ({ PATH: process.env['PATH'], DATA_DIR: join(directory, 'data'), TMPDIR: directory });

function sparank(args: string[], settings: Record<string, string> = {}): Promise<Ended> {
  const env = { ...environment(), ...settings };
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [MAIN, ...args], { env }, (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}

const compressArgs = (...rest: string[]) => [
  'compress',
  model,
  ...['--calibration', calibration, '--iterations', '2', '--samples', '500', '--inputs', 'symmetric', '--effort', '1'],
  ...['--batch-sizes', '1', '--output', join(directory, 'out'), ...rest],
];
const compress = (...rest: string[]) => sparank(compressArgs(...rest));

const temporary = () => join(directory, `sparank-${process.getuid?.() ?? ''}`);
/** What runs of `compress` keep while they last. */
const leftovers = () => readdir(join(temporary(), 'scratch'));

/** Sends a signal to `compress` in the middle of a layer; tells its exit code or what killed it. */
async function compressUntil(signal: NodeJS.Signals): Promise<unknown> {
  const args = [MAIN, ...compressArgs('--target', 'parameter_ratio=2', '--iterations', '500')];
  const child = spawn(process.execPath, args, { env: environment(), stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'close');
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (!err.includes('plan done') && (err + text).includes('plan done')) child.kill(signal);
    err += text;
  });
  const [code, killedBy] = (await ended) as [number | null, string | null];
  expect(err).toContain('plan done');
  expect(err).not.toContain('evaluate done');
  return code ?? killedBy;
}

describe('the command line', () => {
  it('ends with 0 and prints the version and the help', async () => {
    expect((await sparank(['--version'])).out).toMatch(/^\d+\.\d+\.\d+/);
    const help = await sparank(['--help']);
    expect(help.code).toBe(0);
    for (const command of ['start', 'worker', 'compress', 'submit', 'watch', 'jobs', 'get', 'doctor', 'demo']) {
      expect(help.out).toContain(`  ${command}`);
    }
  });

  it.each([
    ['an unknown command', ['squeeze'], /unknown command/],
    ['a missing option', ['compress', 'm.onnx'], /--calibration/],
    [
      'a target that is no number',
      ['compress', 'm.onnx', '--calibration', 'c.npz', '--target', 'mac_ratio=x'],
      /number/,
    ],
    ['an unknown target', ['compress', 'm.onnx', '--calibration', 'c.npz', '--target', 'size=3'], /target/],
  ])('ends with 2 for %s', async (_, args, message) => {
    const { code, err } = await sparank(args);
    expect(err).toMatch(message);
    expect(code).toBe(2);
  });

  it('ends with 2 for a bad setting, and names it', async () => {
    const { code, err } = await sparank(['doctor'], { PORT: 'eighty' });
    expect(err).toContain('PORT');
    expect(code).toBe(2);
  });

  it('ends with 1 for files that cannot be used, and says why as JSON when asked', async () => {
    const missing = await sparank(['compress', 'none.onnx', '--calibration', calibration, '--target', 'mac_ratio=2']);
    expect(missing).toMatchObject({ code: 1, err: expect.stringContaining('none.onnx') as string });
    const broken = join(directory, 'broken.onnx');
    await writeFile(broken, 'this is no model');
    const args = ['compress', broken, '--calibration', calibration, '--target', 'mac_ratio=2', '--json'];
    const { code, out } = await sparank(args);
    expect(JSON.parse(out)).toMatchObject({ error: { code: 'invalid_model' } });
    expect(code).toBe(1);
  });

  it('compresses a model without a service and leaves only the artifacts', async () => {
    const { code, out, err } = await compress('--target', 'parameter_ratio=2');
    const steps = err.split('\n').filter((line) => line.endsWith(' done'));
    expect(steps).toContain('evaluate done');
    expect(steps).toEqual([...new Set(steps)]);
    expect(code).toBe(0);
    expect(out).toMatch(/conv2.*compressed/);
    expect(out).toMatch(/passed +target.parameter_ratio/);
    expect((await readdir(join(directory, 'out'))).sort()).toEqual([
      'manifest.json',
      'model.onnx',
      'report.html',
      'report.json',
    ]);
    expect(await leftovers()).toEqual([]);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('leaves no temporary files when it is stopped by %s', async (signal) => {
    expect(await compressUntil(signal)).toBe(130);
    expect(await leftovers()).toEqual([]);
  });

  it('removes the temporary files of a killed compression at the next one', async () => {
    expect(await compressUntil('SIGKILL')).toBe('SIGKILL');
    expect(await leftovers()).toHaveLength(1);
    expect(await compress('--target', 'parameter_ratio=2')).toMatchObject({ code: 0 });
    expect(await leftovers()).toEqual([]);
  });

  it('uses no temporary directory of someone else', async () => {
    const elsewhere = join(directory, 'elsewhere');
    await mkdir(elsewhere);
    await symlink(directory, join(elsewhere, basename(temporary())));
    const { code, err } = await sparank(compressArgs('--target', 'parameter_ratio=2'), { TMPDIR: elsewhere });
    expect(err).toContain('TMPDIR');
    expect(code).toBe(1);
  });

  it('ends with 3 when the result does not meet a constraint', async () => {
    const { code, out } = await compress('--target', 'parameter_ratio=2', '--constraint', 'min_speedup=50', '--json');
    const { verdict } = JSON.parse(out) as {
      verdict: { passed: boolean; checks: { name: string; passed: boolean }[] };
    };
    expect(verdict.passed).toBe(false);
    expect(verdict.checks.find(({ passed }) => !passed)?.name).toContain('min_speedup');
    expect(code).toBe(3);
  });

  it('keeps the weights as it is told, and says what that gave', async () => {
    const { code, out } = await compress('--target', 'parameter_ratio=2', '--weights', 'codebook', '--bits', '8');
    expect(out).toMatch(/^weights +codebook of 8 bits: file [\d,]+ -> [\d,]+ bytes/m);
    expect(out).toMatch(/^as float32 .*batch 1 \d/m);
    expect(code).toBe(0);
    const refused = await compress('--target', 'parameter_ratio=2', '--weights', 'int3');
    expect(refused.err).toContain('/method/weights/coding');
    expect(refused.code).toBe(2);
  });

  it('says that no service answers', async () => {
    const settings = { SPARANK_URL: 'http://127.0.0.1:9', SPARANK_API_KEY: 'spk_none' };
    const { code, err } = await sparank(['jobs'], settings);
    expect(err).toContain('cannot be reached');
    expect(code).toBe(1);
  });

  it('says which key is missing', async () => {
    const { code, err } = await sparank(['jobs']);
    expect(err).toContain('SPARANK_API_KEY');
    expect(code).toBe(1);
  });
});

describe('sparank doctor', () => {
  it('finds everything in the embedded mode', async () => {
    const { code, out } = await sparank(['doctor', '--json']);
    const { ok, findings } = JSON.parse(out) as { ok: boolean; findings: { name: string; ok: boolean }[] };
    expect(findings.map(({ name }) => name)).toEqual([
      'node',
      'machine',
      'engine',
      'worker',
      'database',
      'queue',
      'workers',
      'owner',
      'sweep',
      'storage',
    ]);
    expect({ ok, code }).toEqual({ ok: true, code: 0 });
  });

  it('ends with 1 and says what does not answer, without its password', async () => {
    const url = 'postgres://me:very-secret@127.0.0.1:9/none';
    const { code, out, err } = await sparank(['doctor'], { DATABASE_URL: url });
    expect(out).toMatch(/BAD/);
    expect(out + err).not.toContain('very-secret');
    expect(code).toBe(1);
  });
});
