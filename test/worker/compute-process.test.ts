import { execFile, spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ComputeError, ComputeProcess } from '../../src/worker/compute/compute-process.js';
import { until } from '../support/until.js';
import { isAlive, request, STEPS } from './request.js';

const never = () => new AbortController().signal;
const directories: string[] = [];

async function make(behave: string) {
  const made = await request(behave);
  directories.push(made.directory);
  return made;
}

describe('the compute process', () => {
  let compute: ComputeProcess;
  beforeEach(() => {
    compute = new ComputeProcess(STEPS);
  });
  afterEach(async () => {
    await compute.stop();
    await Promise.all(directories.splice(0).map((path) => rm(path, { recursive: true, force: true })));
  });

  const failureOf = async (behave: string) => {
    const error: unknown = await compute.run(await make(behave), never(), () => undefined).catch((e: unknown) => e);
    if (!(error instanceof ComputeError)) throw new Error(`expected a ComputeError, got ${String(error)}`);
    return error.failure;
  };

  it('runs steps one after the other in the same warm process and reports progress and usage', async () => {
    const fractions: number[] = [];
    const first = await compute.run(await make('work'), never(), (fraction) => fractions.push(fraction));
    const pid = compute.pid;
    await compute.run(await make('work'), never(), () => undefined);
    expect(compute.pid).toBe(pid);
    expect(fractions).toEqual([0.5]);
    expect(first.result).toEqual({ layers: [] });
    expect(first.usage.seconds).toBeGreaterThan(0);
  });

  it('tells the worker what a step warns of, once, and nothing of the warnings of libraries', async () => {
    const texts: string[] = [];
    const ignore = () => undefined;
    await compute.run(await make('work'), never(), ignore, (text) => texts.push(text));
    await compute.run(await make('warn'), never(), ignore, (text) => texts.push(text));
    expect(texts).toEqual(['no GPU']);
  });

  it.runIf(process.platform === 'linux')('measures the peak memory of every step by itself', async () => {
    const small = await compute.run(await make('work'), never(), () => undefined);
    const large = await compute.run(await make('memory'), never(), () => undefined);
    expect(large.usage.peakRssBytes - small.usage.peakRssBytes).toBeGreaterThan(150 * 2 ** 20);
  });

  it.each([
    ['abort', /SIGABRT/],
    ['exit', /exit code 7/],
    ['outOfMemory', /SIGKILL.*memory/],
  ])('turns a process that ends by %s into a retryable error, and starts a fresh one', async (behave, message) => {
    const { error } = await failureOf(behave);
    expect(error.code).toBe('compute_failed');
    expect(error.retryable).toBe(true);
    expect(error.message).toMatch(message);
    const { result } = await compute.run(await make('work'), never(), () => undefined);
    expect(result).toEqual({ layers: [] });
  });

  it('carries an input error over with its code, layer and faults', async () => {
    const { error } = await failureOf('input');
    expect(error).toMatchObject({
      code: 'invalid_model',
      origin: 'input',
      layer: 'conv1',
      faults: [{ pointer: '#model/conv1', detail: 'NaN' }],
      retryable: false,
    });
  });

  it('keeps the stack of an unexpected error for the log', async () => {
    const failure = await failureOf('bug');
    expect(failure.error.origin).toBe('bug');
    expect(failure.log).toMatch(/steps\.mjs/);
  });

  it('is free within a second of an abort, even inside a blocking call', async () => {
    const cancel = new AbortController();
    const request = await make('busy');
    const running = compute.run(request, cancel.signal, () => undefined).catch((error: unknown) => error);
    await until('the step blocks', () => existsSync(join(request.directory, 'busy')));
    const pid = compute.pid ?? 0;
    const started = performance.now();
    cancel.abort('cancel');
    expect(await running).toBe('cancel');
    expect(performance.now() - started).toBeLessThan(1000);
    expect(isAlive(pid)).toBe(false);
    const { result } = await compute.run(await make('work'), never(), () => undefined);
    expect(result).toEqual({ layers: [] });
  });

  it.each(['busy', 'idle'])('ends when its parent is killed while a step is %s', async (behave) => {
    const parent = spawn(
      process.execPath,
      [fileURLToPath(new URL('./orphan-parent.mjs', import.meta.url)), STEPS, JSON.stringify(await make(behave))],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [text] = (await once(parent.stdout, 'data')) as [Buffer];
    const child = Number(text.toString());
    expect(isAlive(child)).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(() => isAlive(child), { timeout: 3000 }).toBe(false);
  });

  it('does not end with a signal that is meant for its parent', async () => {
    await compute.run(await make('work'), never(), () => undefined);
    const pid = compute.pid ?? 0;
    await new Promise((done) => execFile('kill', ['-TERM', String(pid)], done));
    await compute.run(await make('work'), never(), () => undefined);
    expect(compute.pid).toBe(pid);
  });
});
