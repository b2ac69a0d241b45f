import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CheckSubmission } from '../../src/api/deps.js';
import { InputError } from '../../src/errors/index.js';
import { claimNext, stepFile, stepResult } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { reluModel } from './support/model.js';
import { countNodes, sha256, startService, type TestService } from './support/service.js';

const run = promisify(execFile);

function hasCurl(): boolean {
  try {
    execFileSync('curl', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn('curl is not there: the examples of docs/api.md are not run');
    return false;
  }
}

/** As the real check does, refuses a calibration that is no archive of samples: a hash put in the wrong place shows. */
const check: CheckSubmission = async (files, spec) => {
  if ((await readFile(files.calibration, 'utf8')) !== 'samples') {
    throw new InputError('invalid_dataset', 'the calibration does not hold the samples');
  }
  return countNodes(files, spec);
};

describe.runIf(hasCurl())('docs/api.md', () => {
  let postgres: TestPostgres;
  let service: TestService;
  let directory: string;
  let working = true;
  let worker: Promise<void>;

  /** Does what comes with made-up numbers; the model is a file of four bytes. */
  async function work() {
    for (; working; await sleep(20)) {
      const task = await claimNext(service.database);
      if (task === null) continue;
      const key = `jobs/${task.jobId}/${task.taskId}/model.onnx`;
      if (task.kind === 'evaluate') await service.storage.put(key, Readable.from([Buffer.from('tiny')]));
      const files =
        task.kind === 'evaluate' ? [{ ...stepFile('model.onnx', key), bytes: 4, sha256: sha256('tiny') }] : [];
      await service.database.pool.succeed(task.taskId, task.attempt, { result: stepResult(task, 2), files });
    }
  }

  beforeAll(async () => {
    postgres = await startPostgres();
    service = await startService(postgres, { checkSubmission: check });
    directory = await mkdtemp(join(tmpdir(), 'sparank-docs-'));
    await writeFile(join(directory, 'model.onnx'), reluModel());
    await writeFile(join(directory, 'calibration.npz'), 'samples');
    await writeFile(join(directory, 'evaluation.npz'), 'labels');
    worker = work();
  });
  afterAll(async () => {
    working = false;
    await worker;
    await service.close();
    await postgres.stop();
    await rm(directory, { recursive: true, force: true });
  });

  test('its examples run, one after the other, and do what they say', async () => {
    const text = await readFile(new URL('../../docs/api.md', import.meta.url), 'utf8');
    const examples = [...text.matchAll(/```sh\n(.*?)```/gs)].map((match) => match[1] ?? '');
    expect(examples).toHaveLength(3);
    const url = await service.app.listen({ host: '127.0.0.1', port: 0 });
    const env = { ...process.env, URL: url, KEY: service.keys.all.replace('Bearer ', '') };
    const script = `set -e\n${examples.join('\necho ---\n')}`;
    const { stdout } = await run('bash', ['-c', script], { cwd: directory, env });
    const [way, reuse, events] = stdout
      .split('---\n')
      .concat('', '')
      .map((part) => part.trim());
    expect(await readFile(join(directory, 'compressed.onnx'), 'utf8')).toBe('tiny');
    expect((JSON.parse(way ?? '') as { data: unknown[] }).data).toHaveLength(2);
    expect(reuse).toContain('200 OK');
    expect(reuse).toContain('"estimate":{"nodes":1}');
    expect(events).toContain('event: job.succeeded');
  });
});
