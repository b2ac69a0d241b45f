import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { follow, silent } from '../../src/cli/display/follow.js';
import { hasRedis, startRedis, type TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';
import { writeExample } from './example.js';
import { processesOf } from './processes.js';
import { Stack, type TaskRow } from './stack.js';

/** A layer that the target makes worth compressing. */
const HELD = 2;

let files: string;
let model: string;
let calibration: string;
beforeAll(async () => {
  files = await mkdtemp(join(tmpdir(), 'sparank-example-'));
  ({ model, calibration } = await writeExample(files));
});
afterAll(() => rm(files, { recursive: true, force: true }));

/** Submits a job; the layer `HELD` does not end before `release`. */
async function submitHeld(stack: Stack): Promise<string> {
  await stack.hold(HELD);
  return submit(stack);
}

async function submit(
  stack: Stack,
  wish: Record<string, unknown> = { target: { parameter_ratio: 2 } },
): Promise<string> {
  const upload = async (path: string) => ({ upload: await stack.client.upload(path) });
  const job = await stack.client.submit({
    model: await upload(model),
    calibration: await upload(calibration),
    ...wish,
    effort: 1,
    method: { samples: 2000, max_iterations: 20, inputs: 'symmetric' },
    benchmark: { batch_sizes: [1] },
  });
  return job.id;
}

/** The job ended once, with every part of it done, and what was done before `done` was not done again. */
async function expectOneGoodEnd(
  stack: Stack,
  id: string,
  done: TaskRow[],
  artifacts = ['manifest.json', 'model.onnx', 'report.html', 'report.json'],
): Promise<TaskRow[]> {
  await stack.release();
  const job = await follow(stack.sparank, id, silent);
  expect(job.error).toBeNull();
  expect(job.status).toBe('succeeded');
  expect(job.metrics?.parameters.ratio).toBeGreaterThanOrEqual(2);
  expect(job.artifacts.map(({ name }) => name).sort()).toEqual(artifacts);
  const tasks = await stack.tasks(id);
  expect(tasks.every(({ state }) => state === 'succeeded')).toBe(true);
  for (const before of done) expect(tasks.find((task) => task.id === before.id)).toEqual(before);
  const events = await stack.query<{ type: string }>('select type from events where job_id = $1', [id]);
  expect(events.filter(({ type }) => type === 'job.succeeded')).toHaveLength(1);
  const finished = events.filter(({ type }) => type === 'layer.finished');
  expect(finished).toHaveLength(tasks.filter(({ kind }) => kind === 'layer').length);
  return tasks;
}

const attempt = (tasks: TaskRow[], { id }: TaskRow) => tasks.find((task) => task.id === id)?.attempt ?? 0;

describe('the service with two workers on the embedded database', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await Stack.start();
  });
  afterAll(async () => {
    await stack.stop();
    await stack.remove();
  });

  it('solves the layers of one job on both workers, each once', async () => {
    const id = await submitHeld(stack);
    await stack.midLayer(id);
    const tasks = await expectOneGoodEnd(stack, id, []);
    const layers = tasks.filter(({ kind }) => kind === 'layer');
    expect(new Set(layers.map(({ worker_id }) => worker_id)).size).toBe(2);
    expect(layers.every((task) => task.attempt === 1)).toBe(true);
  });

  it('goes on after a worker was killed in the middle of a layer', async () => {
    const id = await submitHeld(stack);
    const { running, done } = await stack.midLayer(id);
    // The worker of the layer is the parent of the process that works on it: its log names both.
    const pid = workerPid(stack, running.worker_id);
    const orphan = stack.children().find(({ parent }) => parent === pid)?.pid;
    process.kill(pid, 'SIGKILL');
    await until('its compute process has ended too', () => !stack.children().some((child) => child.pid === orphan), 5);
    stack.startWorker();
    const tasks = await expectOneGoodEnd(stack, id, done);
    expect(attempt(tasks, running)).toBeGreaterThan(running.attempt);
  });

  it('goes on after a compute process was killed in the middle of a layer', async () => {
    const id = await submitHeld(stack);
    const { running, done } = await stack.midLayer(id);
    const pid = workerPid(stack, running.worker_id);
    const child = stack.children().find(({ parent }) => parent === pid);
    if (!child) throw new Error('the worker of the running layer has no compute process');
    process.kill(child.pid, 'SIGKILL');
    const tasks = await expectOneGoodEnd(stack, id, done);
    expect(attempt(tasks, running)).toBeGreaterThan(running.attempt);
    expect(tasks.find((task) => task.id === running.id)?.failures).toBe(1);
  });

  it('loses one point of a curve for a moment when a compute process is killed in its assembly', async () => {
    await stack.hold('point 2');
    const targets = [2, 3, 5].map((parameter_ratio) => ({ parameter_ratio }));
    const id = await submit(stack, { targets });
    const { running, done } = await stack.midTask(id, 'assemble');
    const pid = workerPid(stack, running.worker_id);
    const child = stack.children().find(({ parent }) => parent === pid);
    if (!child) throw new Error('the worker of the point has no compute process');
    process.kill(child.pid, 'SIGKILL');
    const models = ['model-2.onnx', 'model-3.onnx', 'model.onnx'];
    const tasks = await expectOneGoodEnd(stack, id, done, [
      'curve.svg',
      'manifest.json',
      ...models,
      'report.html',
      'report.json',
    ]);
    const again = tasks.filter(({ attempt: number }) => number > 1);
    expect(again.map((task) => task.id)).toEqual([running.id]);
    const ended = await stack.client.job(id);
    expect(ended?.job.points.map(({ point, target, model: name }) => [point, target, name])).toEqual([
      [1, { parameter_ratio: 2 }, 'model.onnx'],
      [2, { parameter_ratio: 3 }, 'model-2.onnx'],
      [3, { parameter_ratio: 5 }, 'model-3.onnx'],
    ]);
    expect(ended?.job.points.every(({ verdict }) => verdict?.passed)).toBe(true);
  });

  it('goes on after the API was killed, and the API finds everything again', async () => {
    const id = await submitHeld(stack);
    const { done } = await stack.midLayer(id);
    stack.api?.kill('SIGKILL');
    await stack.startApi();
    await expectOneGoodEnd(stack, id, done);
  });

  it('goes on after the embedded PostgreSQL was killed', async () => {
    const id = await submitHeld(stack);
    const { done } = await stack.midLayer(id);
    process.kill(await stack.postmaster(), 'SIGKILL');
    await expectOneGoodEnd(stack, id, done);
  });

  it('frees the device within two seconds of a cancel, and takes the next job', async () => {
    const id = await submitHeld(stack);
    const { running } = await stack.midLayer(id);
    const pid = workerPid(stack, running.worker_id);
    const child = stack.children().find(({ parent }) => parent === pid)?.pid;
    await stack.client.act(id, 'cancel');
    await until('the compute process has ended', () => !stack.children().some((one) => one.pid === child), 2);
    await until('the job is canceled', async () => (await stack.client.job(id))?.job.status === 'canceled', 2);
    await expectOneGoodEnd(stack, await submit(stack), []);
  });

  it('leaves no scratch file and, when it stops, no process', async () => {
    // A worker tidies up after the result has been committed.
    await until('no scratch file is left', async () => (await stack.scratchFiles()).length === 0, 5);
    await stack.stop();
    await until('no process is left', () => processesOf(stack.dataDir).length === 0, 10);
    expect(await readdir(join(stack.dataDir, 'scratch'))).toEqual([]);
  });
});

describe.runIf(hasRedis())('the service on Redis', () => {
  let stack: Stack;
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedis();
    stack = await Stack.start({ REDIS_URL: redis.url });
  });
  afterAll(async () => {
    await stack.stop();
    await redis.stop();
    await stack.remove();
  });

  it('loses nothing when all of Redis is flushed in the middle of a layer', async () => {
    const id = await submitHeld(stack);
    const { done } = await stack.midLayer(id);
    await redis.flushAll();
    await expectOneGoodEnd(stack, id, done);
  });

  it('goes on when Redis is gone for a while', async () => {
    const id = await submitHeld(stack);
    const { done } = await stack.midLayer(id);
    await redis.kill();
    await stack.release();
    await redis.restart();
    await expectOneGoodEnd(stack, id, done);
  });
});

/** Process id of a worker; every line of a log has both the worker and, at its start, the process. */
function workerPid(stack: Stack, workerId: string | null): number {
  const line = stack.log
    .split('\n')
    .find((text) => text.includes(`"worker_id":"${workerId}"`) && text.includes('"pid":'));
  const pid = /"pid":(\d+)/.exec(line ?? '')?.[1];
  if (pid === undefined) throw new Error(`the log has no process of ${workerId}`);
  return Number(pid);
}
