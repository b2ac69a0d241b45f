import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Sparank } from '../../src/client/node/index.js';
import { writeExample } from '../service/example.js';
import { KEY, Stack } from '../service/stack.js';

const HELD = 2;

let stack: Stack;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sparank-client-'));
  stack = await Stack.start();
});
afterAll(async () => {
  await stack.stop();
  await stack.remove();
  await rm(directory, { recursive: true, force: true });
});

test('a client waits through a kill of the service, hears every event once, and downloads the result', async () => {
  const files = await writeExample(directory);
  const sparank = new Sparank({ url: stack.client.url, apiKey: KEY });
  await stack.hold(HELD);
  const job = await sparank.compress(files.model, files.calibration, {
    target: { parameter_ratio: 2 },
    effort: 1,
    method: { samples: 500, max_iterations: 2, inputs: 'symmetric' },
    benchmark: { batch_sizes: [1] },
    labels: { of: 'the client' },
  });
  const events: string[] = [];
  const heard = (async () => {
    for await (const { id } of job.events()) events.push(id);
  })();
  const fractions: number[] = [];
  const waited = job.wait({ onProgress: ({ progress }) => void fractions.push(progress.fraction) });
  await stack.midLayer(job.id);

  const killed = stack.api;
  killed?.kill('SIGKILL');
  if (killed !== null) await once(killed, 'exit');
  await stack.startApi();
  await stack.release();

  await waited;
  await heard;
  expect(job.status).toBe('succeeded');
  expect(job.passed).toBe(true);
  expect(fractions.at(-1)).toBe(1);
  const ids = await stack.query<{ id: string }>('select seq::text as id from events where job_id = $1 order by seq', [
    job.id,
  ]);
  expect(events).toEqual(ids.map(({ id }) => id));

  const path = join(directory, 'compressed.onnx');
  await job.save('model.onnx', path);
  expect((await readFile(path)).length).toBe(job.artifacts.find(({ name }) => name === 'model.onnx')?.bytes);
  expect(await job.report()).toMatchObject({ job_id: job.id });
  expect((await job.layers()).map(({ name }) => name)).toContain('conv2');
  // Nothing is sent twice, and nothing is submitted twice.
  expect((await sparank.upload(files.model)).upload).toMatch(/^upl_/);
  const found = [];
  for await (const one of sparank.jobs.list({ labels: { of: 'the client' } })) found.push(one.id);
  expect(found).toEqual([job.id]);
});
