import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { CheckSubmission } from '../../src/api/deps.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { runSql } from '../support/teams.js';
import { until } from '../support/until.js';
import { form, type FormPart } from './support/form.js';
import { reluModel } from './support/model.js';
import { countNodes, expectProblem, sha256, startService, upload, type TestService } from './support/service.js';

let postgres: TestPostgres;
let service: TestService;
let checks = 0;
/** A check waits for it. */
let held: Promise<void> = Promise.resolve();
const hold = (): (() => void) => {
  let release = (): void => undefined;
  held = new Promise((resolve) => (release = resolve));
  return release;
};

const check: CheckSubmission = async (files, spec) => {
  checks++;
  await held;
  return countNodes(files, spec);
};

beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres, {
    checkSubmission: check,
    settings: { MAX_QUEUED_JOBS: '60', MAX_UPLOAD_BYTES: '100000', MAX_BODY_BYTES: '5000' },
  });
});
/** Those of the request before may still be leaving the scratch directory. */
const stored = async () => (await service.files()).filter((name) => name.startsWith('storage'));

afterAll(async () => {
  await until(
    'no scratch file is left',
    async () => !(await service.files()).some((name) => name.startsWith('scratch')),
  );
  await service.close();
  await postgres.stop();
});
beforeEach(() => {
  held = Promise.resolve();
});

const target = { parameter_ratio: 4 };
const jobCount = async () => (await service.call('GET', '/jobs?limit=100')).json<{ data: unknown[] }>().data.length;
const post = (payload: object, headers: Record<string, string> = {}, url = '/jobs') =>
  service.call('POST', url, { payload, headers });

async function body(model = reluModel()) {
  return {
    model: { upload: await upload(service, model, 'net.onnx') },
    calibration: { upload: await upload(service, 'samples', 'samples.npz') },
    target,
  };
}

describe('POST /jobs with JSON', () => {
  test('answers 202 with the job, its place and every default filled in', async () => {
    const given = { ...(await body()), labels: { pipeline: 'nightly' } };
    const response = await post(given);
    expect(response.statusCode, response.body).toBe(202);
    const job = response.json<Record<string, unknown>>();
    expect(response.headers.location).toBe(`/jobs/${String(job['id'])}`);
    expect(Number(response.headers['retry-after'])).toBeGreaterThan(0);
    expect(job).toMatchObject({
      object: 'job',
      status: 'queued',
      phase: 'inspect',
      progress: { fraction: 0, layers_done: 0, layers_total: 0, eta_seconds: null },
      labels: { pipeline: 'nightly' },
      team_id: 'team_default',
      started_at: null,
      metrics: null,
      verdict: null,
      artifacts: [],
      error: null,
      links: { self: response.headers.location, cancel: `${String(response.headers.location)}/cancel` },
      spec: {
        ...given,
        method: { samples: 5000, seed: 1, pattern: 'channel', layers: { include: [], exclude: [] } },
        benchmark: { batch_sizes: [1, 32], threads: null },
        priority: 'normal',
        deadline_seconds: null,
      },
    });
    expect(job['queue']).toMatchObject({ position: 1, reason: 'no_such_worker' });
  });

  test('names an upload by the hash of its content', async () => {
    const { calibration, model } = await body();
    const response = await post({ model: { upload: `sha256:${sha256(reluModel())}` }, calibration, target });
    expect(response.statusCode, response.body).toBe(202);
    expect(response.json<{ spec: { model: unknown } }>().spec.model).toEqual(model);
  });

  test.each([
    ['/target', { target: undefined }, 'is required'],
    [
      '/target',
      { target: { parameter_ratio: 4, mac_ratio: 2 } },
      'exactly one of "parameter_ratio", "mac_ratio", "nonzero_ratio", "bytes_ratio", "speedup", "max_accuracy_drop", "min_agreement", "max_relative_error"',
    ],
    ['/target', { target: { ratio: 4 } }, 'exactly one of "parameter_ratio"'],
    ['/target', { target: 4 }, 'exactly one of "parameter_ratio"'],
    ['/target/parameter_ratio', { target: { parameter_ratio: 0.5 } }, '>= 1'],
    ['/colour', { colour: 'red' }, 'is not a known field'],
    ['/method/pattern', { method: { pattern: 'checkered' } }, 'must be one of "channel", "filter"'],
    ['/method/samples', { method: { samples: 'many' } }, 'must be integer'],
    ['/method/components/1', { method: { components: ['sparse', 'dense'] } }, 'must be one of "low_rank", "sparse"'],
    ['/benchmark/batch_sizes/0', { benchmark: { batch_sizes: [0] } }, '>= 1'],
    ['/benchmark/threads', { benchmark: { threads: 'all' } }, 'or null'],
    ['/priority', { priority: 'urgent' }, '"low", "normal", "high"'],
    ['/labels/bad key', { labels: { 'bad key': 'x' } }, 'must match'],
    ['/model', { model: { path: '/etc/passwd' } }, '{"upload"} or {"url", "sha256"}'],
    ['/model/url', { model: { url: 'http://example.com/m.onnx', sha256: 'a'.repeat(64) } }, 'is not https'],
    ['/model/url', { model: { url: 'ftp://example.com/m.onnx', sha256: 'a'.repeat(64) } }, 'pattern'],
    ['/evaluation/upload', { evaluation: { upload: 'upl_none' } }, 'there is no upload upl_none'],
  ])('a fault at %s (%j) is 422 and says: %s', async (pointer, change, sentence) => {
    const problem = expectProblem(await post({ ...(await body()), ...change }), 422, 'invalid_spec');
    expect(problem.errors).toHaveLength(1);
    expect(problem.errors?.[0]).toMatchObject({ pointer });
    expect(problem.errors?.[0]?.detail).toContain(sentence);
  });

  test('names every fault at once', async () => {
    const problem = expectProblem(await post({ model: {}, priority: 1, method: { seed: -1 } }), 422, 'invalid_spec');
    expect(problem.errors?.map((error) => error.pointer).sort()).toEqual(
      ['/calibration', '/method/seed', '/model', '/priority', '/target'].sort(),
    );
  });

  test('another team’s upload is none', async () => {
    const given = await body();
    const response = await service.call('POST', '/jobs', { payload: given, key: service.keys.stranger });
    expectProblem(response, 422, 'invalid_spec');
  });

  test('what is not JSON is 400, too much of it 413, another type 415', async () => {
    const json = { 'content-type': 'application/json' };
    expectProblem(
      await service.call('POST', '/jobs', { payload: '{"target":', headers: json }),
      400,
      'invalid_request',
    );
    expectProblem(await service.call('POST', '/jobs', { payload: '', headers: json }), 400, 'invalid_request');
    expectProblem(
      await service.call('POST', '/jobs', { payload: '{"__proto__":{}}', headers: json }),
      400,
      'invalid_request',
    );
    expectProblem(await post({ labels: { a: 'x'.repeat(6000) } }), 413, 'payload_too_large');
    const text = { payload: 'x', headers: { 'content-type': 'text/plain' } };
    expectProblem(await service.call('POST', '/jobs', text), 415, 'unsupported_media_type');
    expectProblem(await post({}, {}, '/jobs?dry=true'), 400, 'invalid_request');
  });

  test('needs a key that may write', async () => {
    expectProblem(await service.call('POST', '/jobs', { payload: {}, key: null }), 401, 'unauthorized');
    expectProblem(await service.call('POST', '/jobs', { payload: {}, key: service.keys.reader }), 403, 'forbidden');
  });

  test('a file that is not what it claims to be is refused at once, with a pointer', async () => {
    const given = await body(Buffer.from('not a model'));
    const before = await jobCount();
    const problem = expectProblem(await post(given), 422, 'invalid_model');
    expect(problem.errors?.[0]?.pointer).toBe('#file/model');
    expect(await jobCount()).toBe(before);
  });

  test('the same files are checked once', async () => {
    const given = await body(reluModel('checked-once'));
    checks = 0;
    await Promise.all([post(given), post({ ...given, labels: { again: 'yes' } }), post(given)]);
    expect(checks).toBe(1);
  });
});

describe('?dry_run=true', () => {
  test('answers with the resolved specification and the estimate, and stores nothing', async () => {
    const given = await body();
    const before = [await jobCount(), await stored()];
    const response = await post(given, {}, '/jobs?dry_run=true');
    expect(response.statusCode, response.body).toBe(200);
    expect(response.json()).toMatchObject({
      object: 'dry_run',
      estimate: { nodes: 1 },
      spec: { ...given, priority: 'normal' },
    });
    const parts: FormPart[] = [
      { name: 'spec', content: JSON.stringify({ target }) },
      { name: 'model', content: reluModel('dry'), filename: 'dry.onnx' },
      { name: 'calibration', content: 'dry samples', filename: 'dry.npz' },
    ];
    const sent = await service.call('POST', '/jobs?dry_run=true', form(parts));
    expect(sent.statusCode, sent.body).toBe(200);
    expect([await jobCount(), await stored()]).toEqual(before);
  });

  test('finds the same faults', async () => {
    expectProblem(await post({ ...(await body()), target: {} }, {}, '/jobs?dry_run=true'), 422, 'invalid_spec');
    const given = await body(Buffer.from('no model either'));
    expectProblem(await post(given, {}, '/jobs?dry_run=true'), 422, 'invalid_model');
  });
});

describe('POST /jobs with a form', () => {
  const model: FormPart = { name: 'model', content: reluModel('form'), filename: 'net.onnx' };
  const calibration: FormPart = { name: 'calibration', content: 'form samples', filename: 'samples.npz' };
  const evaluation: FormPart = { name: 'evaluation', content: 'form labels', filename: 'labels.npz' };
  const spec: FormPart = { name: 'spec', content: JSON.stringify({ target }), type: 'application/json' };
  const send = (parts: FormPart[], headers: Record<string, string> = {}) => {
    const { payload, headers: own } = form(parts);
    return service.call('POST', '/jobs', { payload, headers: { ...own, ...headers } });
  };

  test.each([
    ['first', [spec, model, calibration, evaluation]],
    ['last', [evaluation, calibration, model, spec]],
    ['as a file', [model, { ...spec, filename: 'spec.json' }, calibration]],
    ['without a type', [model, { name: 'spec', content: JSON.stringify({ target }) }, calibration]],
  ])('takes the specification %s', async (_, parts) => {
    const response = await send(parts);
    expect(response.statusCode, response.body).toBe(202);
    const { model: source } = response.json<{ spec: { model: { upload: string } } }>().spec;
    const stored = await service.call('GET', `/uploads/${source.upload}`);
    expect(stored.json()).toMatchObject({ sha256: sha256(model.content), filename: 'net.onnx' });
  });

  test.each([
    ['/target', [{ ...spec, content: '{}' }]],
    ['/method/seed', [model, { ...spec, content: JSON.stringify({ target, method: { seed: -1 } }) }]],
    ['/model', [{ ...spec, content: JSON.stringify({ target, model: { upload: 'upl_x' } }) }]],
  ])('tells a fault of the specification at %s before the files have been sent', async (pointer, parts) => {
    if (!service.app.server.listening) await service.app.listen({ host: '127.0.0.1', port: 0 });
    const { payload, headers } = form([...parts, { name: 'model', content: 'the first bytes', filename: 'a.onnx' }]);
    const sent = request({
      port: (service.app.server.address() as AddressInfo).port,
      host: '127.0.0.1',
      path: '/jobs',
      method: 'POST',
      // Much more is announced than is ever sent: an answer cannot have waited for it.
      headers: { ...headers, authorization: service.keys.all, 'content-length': 90_000 },
    });
    // The service may hang up while this still sends.
    sent.on('error', () => undefined);
    // Without the closing boundary, which the service would have to wait for.
    sent.write(payload.subarray(0, payload.length - 40));
    try {
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      const problem = (await json(response)) as { errors: { pointer: string }[] };
      expect(response.statusCode).toBe(422);
      expect(problem.errors).toMatchObject([{ pointer }]);
    } finally {
      sent.destroy();
    }
  });

  test('keeps nothing when the files are refused', async () => {
    const before = await stored();
    expectProblem(
      await send([spec, { ...model, content: 'junk' }, { ...calibration, content: 'new' }]),
      422,
      'invalid_model',
    );
    expect(await stored()).toEqual(before);
  });

  test.each([
    [400, '#part/spec', [model, calibration]],
    [400, '#part/spec', [{ ...spec, content: '{', type: 'text/plain' }, model, calibration]],
    [400, '#part/model', [spec, model, model]],
    [400, '#part/weights', [spec, { ...model, name: 'weights' }]],
    [400, '#part/calibration', [spec, model, { name: 'calibration', content: 'no filename' }]],
    [400, '#part/model', [spec, { ...model, content: '' }, calibration]],
    [422, '/calibration', [spec, model]],
    [422, '/model', [{ ...spec, content: JSON.stringify({ target, model: { upload: 'upl_x' } }) }, model, calibration]],
  ])('%i with the pointer %s', async (status, pointer, parts: FormPart[]) => {
    const response = await send(parts);
    const problem = expectProblem(response, status, status === 400 ? 'invalid_request' : 'invalid_spec');
    expect(problem.errors?.[0]?.pointer).toBe(pointer);
  });

  test('a file above the limit is 413 and names the setting', async () => {
    const problem = expectProblem(
      await send([spec, { ...model, content: Buffer.alloc(100_001) }]),
      413,
      'payload_too_large',
    );
    expect(problem.detail).toContain('MAX_UPLOAD_BYTES');
  });

  test('the same form with the same key is one job', async () => {
    const headers = { 'idempotency-key': 'form-1' };
    const first = await send([spec, model, calibration], headers);
    const again = await send([calibration, spec, model], headers);
    expect(again.json()).toEqual(first.json());
    expect(again.headers['idempotent-replayed']).toBe('true');
    const other = await send([spec, { ...model, content: reluModel('other') }, calibration], headers);
    expectProblem(other, 422, 'idempotency_mismatch');
  });
});

describe('Idempotency-Key', () => {
  test('gives the first answer again, whatever the order of the fields', async () => {
    const given = await body();
    const before = await jobCount();
    const first = await post(given, { 'idempotency-key': 'k1' });
    expect(first.headers['idempotent-replayed']).toBeUndefined();
    const { model, calibration } = given;
    const again = await post({ target, calibration, model }, { 'idempotency-key': 'k1' });
    expect([again.statusCode, again.headers['idempotent-replayed']]).toEqual([202, 'true']);
    expect(again.json()).toEqual(first.json());
    expect(again.headers.location).toBe(first.headers.location);
    expect(await jobCount()).toBe(before + 1);
  });

  test('with another body is 422', async () => {
    const given = await body();
    await post(given, { 'idempotency-key': 'k2' });
    expectProblem(await post({ ...given, priority: 'high' }, { 'idempotency-key': 'k2' }), 422, 'idempotency_mismatch');
  });

  test('still in flight is 409', async () => {
    const given = await body(reluModel('slow'));
    const [before, release] = [checks, hold()];
    const first = post(given, { 'idempotency-key': 'k3' });
    await until('it is checked', () => checks > before);
    expectProblem(await post(given, { 'idempotency-key': 'k3' }), 409, 'idempotency_in_flight');
    release();
    expect((await first).statusCode).toBe(202);
  });

  test('stays in flight however long its request takes', async () => {
    const given = await body(reluModel('slower'));
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const [before, release] = [checks, hold()];
      const first = post(given, { 'idempotency-key': 'k6' });
      await until('it is checked', () => checks > before);
      await runSql(service.database.url, "update idempotency_keys set in_flight_until = now() - interval '1 second'");
      const held = vi.spyOn(service.database.idempotency, 'hold');
      vi.advanceTimersByTime(30_000);
      await held.mock.results[0]?.value;
      expectProblem(await post(given, { 'idempotency-key': 'k6' }), 409, 'idempotency_in_flight');
      release();
      expect((await first).statusCode).toBe(202);
      expect((await post(given, { 'idempotency-key': 'k6' })).headers['idempotent-replayed']).toBe('true');
    } finally {
      vi.useRealTimers();
    }
  });

  test('of a refused request may be used again', async () => {
    const bad = await body(Buffer.from('refused'));
    expectProblem(await post(bad, { 'idempotency-key': 'k4' }), 422, 'invalid_model');
    expect((await post(await body(), { 'idempotency-key': 'k4' })).statusCode).toBe(202);
  });

  test('belongs to its team, and has at most 255 characters', async () => {
    await post(await body(), { 'idempotency-key': 'k5' });
    const foreign = { payload: {}, headers: { 'idempotency-key': 'k5' }, key: service.keys.stranger };
    expectProblem(await service.call('POST', '/jobs', foreign), 422, 'invalid_spec');
    expectProblem(await post({}, { 'idempotency-key': 'x'.repeat(256) }), 400, 'invalid_request');
  });
});

test('too many open jobs of a team are refused, naming the setting', async () => {
  const given = await body();
  for (let open = await jobCount(); open < 60; open++) expect((await post(given)).statusCode).toBe(202);
  const problem = expectProblem(await post(given), 422, 'limit_exceeded');
  expect(problem.detail).toContain('queued_jobs');
});

describe('requests that bring files', () => {
  const parts = (name: string, size = 10): FormPart[] => [
    { name: 'spec', content: JSON.stringify({ target }) },
    { name: 'model', content: reluModel(name), filename: 'net.onnx' },
    { name: 'calibration', content: 's'.repeat(size), filename: 'samples.npz' },
  ];

  test('are so many of a team at once, until their files are gone; other requests and other teams go on', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let checking = 0;
    const busy = await startService(postgres, {
      settings: { UPLOADS_PER_TEAM: '1' },
      checkSubmission: async (files, spec) => {
        checking++;
        await held;
        return countNodes(files, spec);
      },
    });
    try {
      const known = await upload(busy, 'samples');
      const first = busy.call('POST', '/jobs', form(parts('held')));
      await vi.waitUntil(() => checking === 1, 60_000);
      const url = { url: 'https://example.com/net.onnx', sha256: sha256('a') };
      const refused = [
        await busy.call('POST', '/jobs', form(parts('other'))),
        await busy.call('POST', '/jobs', { payload: { model: url, calibration: { upload: known }, target } }),
        await busy.call('POST', '/uploads', {
          payload: 'a file',
          headers: { 'content-type': 'application/octet-stream' },
        }),
      ];
      for (const response of refused) {
        expect(expectProblem(response, 429, 'too_many_requests').detail).toContain('UPLOADS_PER_TEAM');
        expect(Number(response.headers['retry-after'])).toBeGreaterThan(0);
      }
      expect((await busy.call('GET', `/uploads/${known}`)).statusCode).toBe(200);
      const foreign = { payload: 'a file', headers: { 'content-type': 'application/octet-stream' } };
      expect((await busy.call('POST', '/uploads', { ...foreign, key: busy.keys.stranger })).statusCode).toBe(201);
      release();
      expect((await first).statusCode).toBe(202);
      // The files go when the answer is on its way.
      const freed = async (call: () => Promise<{ statusCode: number }>, expected: number) => {
        await until('there is a place', async () => (await call()).statusCode === expected);
      };
      await freed(() => busy.call('POST', '/jobs', form(parts('other'))), 202);
      const headers = { 'content-type': 'application/octet-stream' };
      await freed(() => busy.call('POST', '/uploads', { payload: 'a file', headers }), 201);
    } finally {
      release();
      await busy.close();
    }
  });

  test('are refused as soon as a file has more bytes than the team may store, beside those that came with it', async () => {
    const model = reluModel('fits').length;
    await runSql(service.database.url, 'update teams set max_storage_bytes = $1 where id = $2', [
      model + 1000,
      'team_other',
    ]);
    const send = (size: number, url = '/jobs') =>
      service.call('POST', url, { ...form(parts('fits', size)), key: service.keys.stranger });
    for (const url of ['/jobs', '/jobs?dry_run=true']) {
      const problem = expectProblem(await send(1001, url), 422, 'limit_exceeded');
      expect(problem.detail).toMatch(/^storage_bytes: the team may store 1000 more bytes/);
    }
    expect((await service.files()).filter((name) => name.includes('team_other'))).toEqual([]);
    expect((await send(1000)).statusCode).toBe(202);
  });
});
