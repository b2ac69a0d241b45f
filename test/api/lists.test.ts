import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JobRowView, JobView } from '../../src/api/jobs/schema.js';
import { createJob, finishNext } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { runSql } from '../support/teams.js';
import { until } from '../support/until.js';
import { expectProblem, startService, type TestService } from './support/service.js';

interface Page<T = { id: string }> {
  data: T[];
  has_more: boolean;
  next: string | null;
  total?: number;
}

let postgres: TestPostgres;
let service: TestService;
/** Another API process on the same database. */
let other: TestService;
beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres, {
    settings: { CORS_ORIGINS: 'https://ci.example.org, https://b.example.org' },
  });
  other = await startService(postgres, { beside: service });
});
afterAll(async () => {
  await service.close();
  await other.close();
  await postgres.stop();
});

const list = async <T = { id: string }>(query: string) => (await service.call('GET', `/jobs?${query}`)).json<Page<T>>();
const etagOf = async (url: string, from = service) => String((await from.call('GET', url)).headers['etag']);
const poll = async (url: string, etag: string, from = service) =>
  (await from.call('GET', url, { headers: { 'if-none-match': etag } })).statusCode;

describe('short rows', () => {
  test('have what a list shows, and not the specification', async () => {
    const job = await createJob(service.database, { labels: { pipeline: 'rows' }, priority: 'high' });
    const { data } = await list<JobRowView>('fields=short&label.pipeline=rows');
    expect(data).toHaveLength(1);
    expect(data[0]).toEqual({
      id: job.id,
      object: 'job_row',
      status: 'queued',
      phase: 'inspect',
      progress: { fraction: 0, layers_done: 0, layers_total: 0, eta_seconds: null },
      queue: expect.objectContaining({ reason: 'no_such_worker' }) as unknown,
      priority: 'high',
      labels: { pipeline: 'rows' },
      team_id: job.teamId,
      model: 'model.onnx',
      targets: [{ parameter_ratio: 4 }],
      created_at: job.createdAt.toISOString(),
      updated_at: expect.any(String) as unknown,
      started_at: null,
      finished_at: null,
      verdict: null,
      result: null,
      error: null,
    });
  });

  test('of a job that has ended say what came of it, or why it failed as the job says it', async () => {
    const labels = { pipeline: 'ended' };
    const job = await createJob(service.database, { labels });
    const row = async () => (await list<JobRowView>('fields=short&label.pipeline=ended')).data[0];
    await until('the job has ended', async () => {
      await finishNext(service.database, 1);
      return (await row())?.status === 'succeeded';
    });
    const { metrics } = (await service.call('GET', `/jobs/${job.id}`)).json<JobView>();
    expect((await row())?.result).toEqual({
      parameter_ratio: metrics?.parameters.ratio,
      speedup: metrics?.speedup,
      accuracy_drop: metrics?.accuracy?.drop ?? null,
      top1_agreement: metrics?.fidelity.top1_agreement,
    });
    const detail = 'the disk of machine 7 is full';
    const error = { code: 'internal', detail, origin: 'infrastructure', layer: null, faults: [] };
    await runSql(
      service.database.url,
      `update jobs set status = 'failed', error = '${JSON.stringify(error)}' where id = '${job.id}'`,
    );
    const failed = await row();
    expect(failed?.error).toEqual((await service.call('GET', `/jobs/${job.id}`)).json<JobView>().error);
    expect(failed?.error?.detail).not.toBe(detail);
  });

  test('come by the thousand; whole jobs do not', async () => {
    expect((await service.call('GET', '/jobs?fields=short&limit=1000')).statusCode).toBe(200);
    const problem = expectProblem(await service.call('GET', '/jobs?limit=101'), 400, 'invalid_request');
    expect(problem.errors?.[0]?.pointer).toBe('#query/limit');
  });
});

describe('what is listed', () => {
  test('is found by text in ids, label values and the model, as it is written', async () => {
    const label = await createJob(service.database, { labels: { branch: 'Feature_100%' } });
    const plain = await createJob(service.database, { labels: { branch: 'feature-1000' } });
    const ids = async (text: string) =>
      (await list(`text=${encodeURIComponent(text)}&limit=100`)).data.map(({ id }) => id);
    expect(await ids('feature_100%')).toEqual([label.id]);
    expect(await ids('FEATURE')).toEqual([plain.id, label.id]);
    expect(await ids(label.id.slice(-8))).toEqual([label.id]);
    expect(await ids('MODEL.onnx')).toContain(plain.id);
    expect(await ids('branch')).toEqual([]);
  });

  test('can be what changed since, ended jobs included', async () => {
    const labels = { pipeline: 'changes' };
    const [first, second] = [
      await createJob(service.database, { labels }),
      await createJob(service.database, { labels }),
    ];
    const since = async (time: string) =>
      (await list(`label.pipeline=changes&updated_after=${time}`)).data.map(({ id }) => id);
    const { data } = await list<JobRowView>('fields=short&label.pipeline=changes');
    const latest = data[0]?.updated_at ?? '';
    expect(await since('2020-01-01T00:00:00Z')).toEqual([second.id, first.id]);
    expect(await since(latest)).toEqual([]);
    await service.call('POST', `/jobs/${first.id}/cancel`);
    expect(await since(latest)).toEqual([first.id]);
  });

  test('is counted when asked', async () => {
    for (let i = 0; i < 3; i++) await createJob(service.database, { labels: { pipeline: 'counted' } });
    expect(await list('label.pipeline=counted&limit=2&total=true')).toMatchObject({ total: 3, has_more: true });
    expect((await list('label.pipeline=counted')).total).toBeUndefined();
  });
});

/** An ETag that a process answers with 304: the places in the queue, which are part of it, have come to rest. */
async function resting(url: string, from = service): Promise<string> {
  let etag = '';
  await until(`${url} rests`, async () => {
    etag = await etagOf(url, from);
    return (await poll(url, etag, from)) === 304;
  });
  return etag;
}

describe('a poll with the ETag', () => {
  test.each(['', '&fields=short', '&total=true'])('is 304 until a job of the page changes (%s)', async (more) => {
    const labels = { pipeline: `etag${more.replaceAll(/\W/g, '')}` };
    const job = await createJob(service.database, { labels });
    const url = `/jobs?label.pipeline=${labels.pipeline}${more}`;
    const etag = await resting(url);
    expect(await poll(url, 'W/"another"')).toBe(200);
    await createJob(service.database, { labels: { pipeline: 'elsewhere' } });
    await service.call('POST', `/jobs/${job.id}/cancel`);
    expect(await poll(url, etag)).toBe(200);
    const canceled = await etagOf(url);
    expect(canceled).not.toBe(etag);
    expect(await poll(url, canceled)).toBe(304);
    await createJob(service.database, { labels });
    expect(await poll(url, canceled)).toBe(200);
    const two = await etagOf(url);
    await service.call('DELETE', `/jobs/${job.id}`);
    expect(await poll(url, two)).toBe(200);
  });

  test('of rows is another than that of whole jobs, and that of a page another than that of all', async () => {
    for (let i = 0; i < 3; i++) await createJob(service.database, { labels: { pipeline: 'pages' } });
    const tags = [];
    for (const more of ['', '&fields=short', '&limit=2', '&limit=1'])
      tags.push(await etagOf(`/jobs?label.pipeline=pages${more}`));
    expect(new Set(tags).size).toBe(4);
  });

  test('is 200 at once in the process that made the change, and in another one when the database has told it', async () => {
    const labels = { pipeline: 'two' };
    for (let i = 0; i < 5; i++) {
      const job = await createJob(service.database, { labels });
      const [one, all] = [`/jobs/${job.id}`, '/jobs?label.pipeline=two&limit=100'];
      const [of, ofAll] = [await resting(one, other), await resting(all, other)];
      const changed = await service.call('POST', `${one}/cancel`);
      expect(changed.json()).toMatchObject({ status: 'canceled' });
      expect([await poll(one, of), await poll(all, ofAll)]).toEqual([200, 200]);
      // Whoever has seen the change there is never told here that an older state is still the one.
      const [seen, seenAll] = [await etagOf(one), await etagOf(all)];
      expect([await poll(one, seen, other), await poll(all, seenAll, other)]).toEqual([304, 304]);
      await until('the job is another', async () => (await poll(one, of, other)) === 200);
      await until('the list is another', async () => (await poll(all, ofAll, other)) === 200);
    }
  });

  test('sees what workers do when the database has told it', async () => {
    const job = await createJob(service.database, { labels: { pipeline: 'worked' } });
    const [one, all] = [`/jobs/${job.id}`, '/jobs?label.pipeline=worked'];
    for (let step = 0; step < 3; step++) {
      const [of, ofAll] = [await etagOf(one, other), await etagOf(all, other)];
      let done;
      do done = await finishNext(service.database, 1);
      while (done.jobId !== job.id);
      await until('the job is another', async () => (await poll(one, of, other)) === 200);
      await until('the list is another', async () => (await poll(all, ofAll, other)) === 200);
    }
  });
});

describe('POST /jobs/cancel', () => {
  const cancel = (payload: object, key = service.keys.all) => service.call('POST', '/jobs/cancel', { payload, key });

  test('cancels what has the labels, again is fine, and tells how many', async () => {
    const labels = { pipeline: 'stop', run: '7' };
    const jobs = [];
    for (let i = 0; i < 3; i++) jobs.push(await createJob(service.database, { labels }));
    const kept = await createJob(service.database, { labels: { ...labels, run: '8' } });
    expect((await cancel({ labels })).json()).toEqual({ matched: 3, canceled: 3, canceling: 0, unchanged: 0 });
    expect((await cancel({ labels })).json()).toEqual({ matched: 3, canceled: 0, canceling: 0, unchanged: 3 });
    expect((await service.call('GET', `/jobs/${kept.id}`)).json()).toMatchObject({ status: 'queued' });
    const ids = [kept.id, String(jobs[0]?.id), 'job_none'];
    expect((await cancel({ ids })).json()).toEqual({ matched: 2, canceled: 1, canceling: 0, unchanged: 1 });
  });

  test('needs a choice, the scope, and sees its own team alone', async () => {
    const job = await createJob(service.database);
    expectProblem(await cancel({}), 400, 'invalid_request');
    expectProblem(await cancel({ labels: {} }), 400, 'invalid_request');
    expectProblem(await cancel({ ids: [job.id] }, service.keys.reader), 403, 'forbidden');
    expect((await cancel({ ids: [job.id] }, service.keys.stranger)).json()).toMatchObject({ matched: 0 });
    expect((await cancel({ status: ['queued'] }, service.keys.stranger)).json()).toMatchObject({ canceled: 0 });
    expect((await service.call('GET', `/jobs/${job.id}`)).json()).toMatchObject({ status: 'queued' });
  });
});

test('long answers are compressed for who can read it, with the same ETag; short ones and files are not', async () => {
  const url = '/jobs?limit=100';
  const plain = await service.call('GET', url);
  const packed = await service.call('GET', url, { headers: { 'accept-encoding': 'gzip' } });
  expect(packed.headers['content-encoding']).toBe('gzip');
  expect(packed.headers['vary']).toMatch(/accept-encoding/i);
  expect(packed.rawPayload.length).toBeLessThan(plain.rawPayload.length / 4);
  const ids = (text: string) => (JSON.parse(text) as Page).data.map(({ id }) => id);
  expect(ids(gunzipSync(packed.rawPayload).toString())).toEqual(ids(plain.body));
  const brief = await service.call('GET', '/healthz', { headers: { 'accept-encoding': 'gzip' } });
  expect(brief.headers['content-encoding']).toBeUndefined();
});

describe('pages of other origins', () => {
  const preflight = (origin: string, from = service) =>
    from.call('OPTIONS', '/jobs', {
      key: null,
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
    });

  test('that are named may call, and read the headers; never with credentials', async () => {
    const allowed = await preflight('https://b.example.org');
    expect(allowed.statusCode).toBe(204);
    expect(allowed.headers['access-control-allow-origin']).toBe('https://b.example.org');
    expect(allowed.headers['access-control-allow-credentials']).toBeUndefined();
    const answer = await service.call('GET', '/jobs', { headers: { origin: 'https://ci.example.org' } });
    expect(answer.headers['access-control-allow-origin']).toBe('https://ci.example.org');
    expect(answer.headers['access-control-expose-headers']).toContain('ETag');
  });

  test('others may not, and none without the setting', async () => {
    expect((await preflight('https://evil.example.org')).headers['access-control-allow-origin']).toBeUndefined();
    const silent = await preflight('https://ci.example.org', other);
    expect([silent.statusCode, silent.headers['access-control-allow-origin']]).toEqual([404, undefined]);
  });
});
