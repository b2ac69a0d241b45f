import { execFile, execFileSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { cp, mkdir, readFile, readdir } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hasBrowser, openBrowser, openPage } from '../web/browser.js';
import { writeSmall } from './small.js';
import { ROOT, startSparank, type Started } from './started.js';

const run = promisify(execFile);
const PIPELINES = join(ROOT, 'examples/pipelines');

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
let site: Server;
let origin: string;
let files: { model: string; calibration: string };

const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript' };

/** The page as a server has it: the client and what it needs beside it. */
function serveSite(): Promise<Server> {
  const server = createServer((request, response) => {
    const path = normalize(request.url ?? '/');
    const file = path.startsWith('/client/')
      ? join(ROOT, 'dist', path)
      : path.startsWith('/modules/')
        ? join(ROOT, 'node_modules', path.slice('/modules/'.length))
        : join(PIPELINES, 'page.html');
    response.setHeader('Content-Type', TYPES[extname(file)] ?? 'text/plain');
    createReadStream(file)
      .on('error', () => response.writeHead(404).end())
      .pipe(response);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

beforeAll(async () => {
  site = await serveSite();
  const address = site.address();
  origin = `http://127.0.0.1:${typeof address === 'object' ? String(address?.port) : ''}`;
  service = await startSparank({ CORS_ORIGINS: origin });
  files = await writeSmall(service.directory);
});
afterAll(async () => {
  site.close();
  await service.stop();
});

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

test('the pipeline in bash', async () => {
  const output = join(service.directory, 'bash');
  const { code, stdout } = await ended(join(PIPELINES, 'pipeline.sh'), [...three(), output]);
  expect(stdout).toMatch(/parameters .*2\.\d\dx/);
  expect(code).toBe(0);
  expect(await readdir(output)).toEqual(expect.arrayContaining(['model.onnx', 'report.json']));
});

test.runIf(has('sparank'))('the pipeline in Python', async () => {
  const output = join(service.directory, 'compressed.onnx');
  const { code, stdout } = await ended(PYTHON, [join(PIPELINES, 'pipeline.py'), ...three(), output]);
  expect(stdout).toMatch(/2\.\d\dx fewer parameters/);
  expect(code).toBe(0);
  expect((await readFile(output)).length).toBeGreaterThan(0);
});

test.runIf(has('sparank, nbclient, ipykernel'))('the notebook', async () => {
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
});

test.runIf(hasBrowser)('the page, on another origin than the service', async () => {
  const browser = await openBrowser();
  try {
    const { page } = await openPage(browser, origin);
    await page.goto('/');
    await page.getByLabel('Service').fill(service.environment['SPARANK_URL'] ?? '');
    await page.getByLabel('API key').fill('spk_wrong');
    await page.getByLabel('Model').setInputFiles(files.model);
    await page.getByLabel('Samples').setInputFiles(files.calibration);
    await page.getByRole('button', { name: 'Compress' }).click();
    await page.getByText('unauthorized:').waitFor();
    await page.getByLabel('API key').fill(service.environment['SPARANK_API_KEY'] ?? '');
    await page.getByRole('button', { name: 'Compress' }).click();
    const link = page.getByText('Download the compressed model');
    await link.waitFor({ timeout: 240_000 });
    expect(await page.locator('output').textContent()).toMatch(/2\.\d\dx fewer parameters/);
    const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
    expect(download.suggestedFilename()).toBe('compressed.onnx');
  } finally {
    await browser.close();
  }
});
