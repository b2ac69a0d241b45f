import { tmpdir } from 'node:os';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { fileChecker } from '../../src/api/jobs/submit/check.js';
import type { JobFiles } from '../../src/api/jobs/submit/sources.js';
import type { SourceFile } from '../../src/api/jobs/submit/source-file.js';
import { CHECK_SECONDS, CHECK_WAIT_SECONDS, FETCH_SECONDS } from '../../src/jobs/check-time.js';
import { lazyDirectory } from '../../src/storage/scratch.js';
import { testSpec } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { until } from '../support/until.js';
import { expectProblem, startService, upload, type TestService } from './support/service.js';

const PLACES = 2 + 32;

let postgres: TestPostgres;
let service: TestService;
let running: (() => void)[] = [];

/** Ends when the test says so. */
const check = () =>
  new Promise<{ estimate: unknown }>((resolve) => running.push(() => resolve({ estimate: { nodes: 1 } })));

async function letAllEnd(results: Promise<unknown>[]) {
  const timer = setInterval(() => running.splice(0).forEach((end) => end()), 5);
  await Promise.allSettled(results);
  clearInterval(timer);
}

beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres, { checkSubmission: check });
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});
afterEach(() => {
  vi.useRealTimers();
  running = [];
});

test('two submissions are checked at a time, 32 wait, and one more is 503 with Retry-After; later it is taken', async () => {
  const model = { upload: await upload(service, 'a model') };
  const dryRun = (seed: number) =>
    service.call('POST', '/jobs?dry_run=true', {
      payload: { model, calibration: model, target: { parameter_ratio: 2 }, method: { seed } },
    });
  const answers: number[] = [];
  const sent = Array.from({ length: PLACES + 1 }, async (_, seed) => {
    const response = await dryRun(seed);
    answers.push(response.statusCode);
    return response;
  });
  await until('one is refused, and two are checked', () => answers.length === 1 && running.length === 2);
  await letAllEnd(sent);
  const refused = (await Promise.all(sent)).filter(({ statusCode }) => statusCode !== 200);
  expect(refused).toHaveLength(1);
  for (const response of refused) {
    expectProblem(response, 503, 'unavailable');
    expect(Number(response.headers['retry-after'])).toBeGreaterThan(0);
  }
  const again = dryRun(PLACES + 1);
  await letAllEnd([again]);
  expect((await again).statusCode).toBe(200);
});

test('a check that waits too long is refused, and its place in the line is free', async () => {
  const file = (sha256: string): SourceFile => ({
    sha256,
    filename: 'file',
    local: () => Promise.resolve('/file'),
    keep: () => Promise.reject(new Error('nothing is kept here')),
  });
  const files = (name: number): JobFiles => ({ model: file(`${name}`), calibration: file('c'), evaluation: null });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const checkFiles = fileChecker(check);
  const start = (name: number) => checkFiles(files(name), testSpec(), lazyDirectory(tmpdir(), 'never-made-'));
  const [first, second, third] = [start(1), start(2), start(3)];
  const refused = expect(third).rejects.toMatchObject({ code: 'unavailable' });
  await vi.advanceTimersByTimeAsync(CHECK_WAIT_SECONDS * 1000 - 1);
  const fourth = start(4);
  await vi.advanceTimersByTimeAsync(1);
  await refused;
  expect(running).toHaveLength(2);
  running.shift()?.();
  await first;
  await vi.advanceTimersByTimeAsync(1);
  expect(running).toHaveLength(2);
  await letAllEnd([second, fourth]);
  await expect(fourth).resolves.toEqual({ estimate: { nodes: 1 } });
});

test('a connection outlives the fetching, the wait and the check', () => {
  expect(service.app.server.timeout).toBeGreaterThan(
    1.25 * (CHECK_WAIT_SECONDS + CHECK_SECONDS + FETCH_SECONDS) * 1000,
  );
});
