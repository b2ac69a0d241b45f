import { execFile, execFileSync } from 'node:child_process';
import { cp, mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeSmall } from './small.js';
import { ROOT, startSparank, type Started } from './started.js';

const run = promisify(execFile);
const PIPELINES = join(ROOT, 'examples/pipelines');
const JOB_MS = 240_000;

/** A Python that has the client of this repository: .ci/run makes it, clients/python/check.sh VENV does it by hand. */
const PYTHON = process.env['SPARANK_CLIENT_PYTHON'] ?? '';

/** Whether the Python is there, with these packages; says so when not. */
function has(packages: string): boolean {
  try {
    if (PYTHON === '') throw new Error('SPARANK_CLIENT_PYTHON is not set');
    execFileSync(PYTHON, ['-c', `import ${packages}`], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn(`no Python with ${packages} (SPARANK_CLIENT_PYTHON): the examples that need it are not run`);
    return false;
  }
}

let service: Started;
let files: { model: string; calibration: string };

beforeAll(async () => {
  service = await startSparank();
  files = await writeSmall(service.directory);
}, 120_000);
afterAll(() => service.stop(), 60_000);

/** What was said, and how it ended. */
async function ended(command: string, args: string[], more: Record<string, string> = {}, cwd = ROOT) {
  return run(command, args, { cwd, env: { ...service.environment, ...more } }).then(
    ({ stdout }) => ({ code: 0, stdout }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      stdout: error.stdout + error.stderr,
    }),
  );
}

const three = () => [files.model, files.calibration, files.calibration];

test(
  'the pipeline in bash',
  async () => {
    const output = join(service.directory, 'bash');
    const { code, stdout } = await ended(join(PIPELINES, 'pipeline.sh'), [...three(), output]);
    expect(stdout).toMatch(/parameters .*2\.\d\dx/);
    expect(code).toBe(0);
    expect(await readdir(output)).toEqual(expect.arrayContaining(['model.onnx', 'report.json']));
  },
  JOB_MS,
);

test.runIf(has('sparank'))(
  'the pipeline in Python',
  async () => {
    const output = join(service.directory, 'compressed.onnx');
    const { code, stdout } = await ended(PYTHON, [join(PIPELINES, 'pipeline.py'), ...three(), output]);
    expect(stdout).toMatch(/2\.\d\dx fewer parameters/);
    expect(code).toBe(0);
    expect((await readFile(output)).length).toBeGreaterThan(0);
  },
  JOB_MS,
);

test.runIf(has('sparank, nbclient, ipykernel'))(
  'the notebook',
  async () => {
    const directory = join(service.directory, 'notebook');
    await mkdir(directory);
    await cp(join(PIPELINES, 'notebook.ipynb'), join(directory, 'notebook.ipynb'));
    const program = [
      'import nbformat, nbclient',
      'notebook = nbformat.read("notebook.ipynb", 4)',
      'nbclient.NotebookClient(notebook, timeout=200, kernel_name="python3").execute()',
      'print([out.get("data", {}).get("text/html", "") for cell in notebook.cells for out in cell.get("outputs", [])])',
    ];
    const { code, stdout } = await ended(PYTHON, ['-c', program.join('\n')], { FILES: service.directory }, directory);
    expect(stdout).toContain('succeeded');
    expect(code).toBe(0);
    expect(await readdir(directory)).toContain('compressed.onnx');
  },
  JOB_MS,
);
