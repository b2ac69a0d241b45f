import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readCalls } from '../../bench/fuzz-http/calls.js';
import { fuzzHttp } from '../../bench/fuzz-http/run.js';
import { KINDS } from '../../bench/fuzz-http/request.js';
import { claimNext, stepFile, stepResult } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { until } from '../support/until.js';
import { reluModel } from './support/model.js';
import { countNodes, sha256, startService, submit, upload, type TestService } from './support/service.js';

const REQUESTS = 2000;
const NO_LIMIT = String(2 ** 31 - 1);

let postgres: TestPostgres;
let service: TestService;
beforeAll(async () => {
  postgres = await startPostgres();
  const settings = { REQUESTS_PER_MINUTE: NO_LIMIT, INVALID_KEYS_PER_MINUTE: NO_LIMIT };
  service = await startService(postgres, { checkSubmission: countNodes, settings });
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

/** Ends the one job there is, with a file. */
async function finishJob(): Promise<void> {
  for (let task = await claimNext(service.database); task !== null; task = await claimNext(service.database)) {
    const key = `jobs/${task.jobId}/${task.taskId}/model.onnx`;
    const isLast = task.kind === 'evaluate';
    if (isLast) await service.storage.put(key, Readable.from([Buffer.from('tiny')]));
    const files = isLast ? [{ ...stepFile('model.onnx', key), bytes: 4, sha256: sha256('tiny') }] : [];
    await service.database.pool.succeed(task.taskId, task.attempt, { result: stepResult(task, 2), files });
  }
}

test(`${String(REQUESTS)} broken forms, headers, times, bodies and lines are each answered below 500, with the place`, async () => {
  const model = await upload(service, reluModel(), 'model.onnx');
  const job = await submit(service, { model: { upload: model } });
  await finishJob();
  await service.app.listen({ host: '127.0.0.1', port: 0 });
  const known = { key: service.keys.all.replace('Bearer ', ''), job, artifact: 'model.onnx', upload: model };
  const { counts, findings } = await fuzzHttp({
    port: Number(new URL(service.app.listeningOrigin).port),
    known: { ...known, calls: await readCalls(service.app.listeningOrigin, known) },
    content: { model: reluModel(), calibration: Buffer.from('samples') },
    seed: 11,
    from: 0,
    to: REQUESTS,
  });
  expect(findings).toEqual([]);
  expect(service.errors).toEqual([]);
  // Some of every kind are refused, and some of those that can be are taken, or this shows little.
  for (const kind of KINDS) expect(counts.get(kind)?.get('4xx'), kind).toBeGreaterThan(50);
  for (const kind of ['form', 'header', 'time', 'body']) expect(counts.get(kind)?.get('2xx'), kind).toBeGreaterThan(2);
  // Nothing stays on its way.
  await until(
    'the scratch directory is empty',
    async () => !(await service.files()).some((file) => file.startsWith('scratch/')),
  );
  expect((await service.call('GET', `/jobs/${job}`)).statusCode).toBe(200);
});
