import { execFile } from 'node:child_process';
import { mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT, startSparank, type Started } from '../examples/started.js';
import { writeSmall } from '../examples/small.js';

const run = promisify(execFile);
const TSC = join(ROOT, 'node_modules/.bin/tsc');

let service: Started;
beforeAll(async () => {
  service = await startSparank();
});
afterAll(() => service.stop());

/** Packs the client and unpacks it where npm would, with its dependencies. */
async function install(project: string): Promise<void> {
  await run('npm', ['pack', './clients/typescript', '--pack-destination', project], { cwd: ROOT });
  const modules = join(project, 'node_modules');
  await mkdir(join(modules, 'sparank-client'), { recursive: true });
  const [file = ''] = (await readdir(project)).filter((name) => name.endsWith('.tgz'));
  await run('tar', ['-xzf', join(project, file), '--strip-components=1', '-C', join(modules, 'sparank-client')]);
  // From a registry they would be the same.
  for (const name of ['openapi-fetch', 'openapi-typescript-helpers', 'eventsource-parser'])
    await symlink(join(ROOT, 'node_modules', name), join(modules, name));
}

test('the packed client, in a folder of its own, runs examples/pipelines/pipeline.mjs', async () => {
  const project = join(service.directory, 'project');
  await mkdir(project);
  await install(project);
  const { model, calibration } = await writeSmall(project);
  await run('cp', [join(ROOT, 'examples/pipelines/pipeline.mjs'), project]);
  const args = ['pipeline.mjs', model, calibration, calibration, 'compressed.onnx'];
  const { stdout } = await run(process.execPath, args, { cwd: project, env: service.environment });
  expect(stdout).toMatch(/^queued 0\.00$/m);
  expect(stdout).toMatch(/^succeeded 1\.00$/m);
  expect(stdout).toMatch(/2\.\d\dx fewer parameters, \d/);
  expect(await readdir(project)).toContain('compressed.onnx');
});

test('the client needs nothing of Node in a browser', async () => {
  const { stdout } = await run(TSC, ['-p', 'clients/typescript/tsconfig.browser.json'], { cwd: ROOT });
  expect(stdout).toBe('');
});
