import { afterAll, beforeAll, expect, test } from 'vitest';
import { createJob } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { runSql } from '../support/teams.js';
import { expectProblem, startService, type TestService } from './support/service.js';

let postgres: TestPostgres;
let service: TestService;
const ids: string[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres);
  for (let i = 0; i < 5; i++) {
    const labels = { pipeline: i % 2 === 0 ? 'even' : 'odd', 'build.no': String(i) };
    ids.unshift((await createJob(service.database, { labels })).id);
  }
  await createJob(service.database, {}, 'team_other');
  await service.call('POST', `/jobs/${ids[0] ?? ''}/cancel`);
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

interface Page {
  data: { id: string }[];
  has_more: boolean;
  next: string | null;
}
const list = async (query: string) => (await service.call('GET', `/jobs?${query}`)).json<Page>();
const idsOf = (page: Page) => page.data.map((job) => job.id);

test('lists the team’s own jobs, newest first', async () => {
  expect(idsOf(await list(''))).toEqual(ids);
});

test('pages by cursor to the end', async () => {
  const seen: string[] = [];
  let page = await list('limit=2');
  for (seen.push(...idsOf(page)); page.has_more; seen.push(...idsOf(page))) {
    expect(page.next).not.toBeNull();
    page = await list(`limit=2&after=${String(page.next)}`);
  }
  expect(page.next).toBeNull();
  expect(seen).toEqual(ids);
});

test('filters by status, labels and time, all of them at once', async () => {
  expect(idsOf(await list('status=canceled'))).toEqual(ids.slice(0, 1));
  expect(idsOf(await list('status=canceled,queued'))).toEqual(ids);
  expect(idsOf(await list('status=canceled&status=queued'))).toEqual(ids);
  expect(idsOf(await list('label.pipeline=odd'))).toEqual([ids[1], ids[3]]);
  expect(idsOf(await list('label.pipeline=odd&label.build.no=3'))).toEqual([ids[1]]);
  expect(idsOf(await list('label.pipeline=even&status=queued'))).toEqual([ids[2], ids[4]]);
  expect(idsOf(await list('created_after=2020-01-01T00:00:00Z'))).toEqual(ids);
  expect(idsOf(await list('created_after=2999-01-01T00:00:00Z'))).toEqual([]);
});

test.each([
  ['limit=0', '#query/limit'],
  ['limit=1000', '#query/limit'],
  ['limit=ten', '#query/limit'],
  ['limit=true', '#query/limit'],
  ['limit=1.5', '#query/limit'],
  ['status=done', '#query/status'],
  ['created_after=yesterday', '#query/created_after'],
  ['colour=red', '#query/colour'],
  ['label.a=1&label.a=2', '#query/label.a'],
  ['after=job_none', '/after'],
])('%s is 400 with the pointer %s', async (query, pointer) => {
  const problem = expectProblem(await service.call('GET', `/jobs?${query}`), 400, 'invalid_request');
  expect(problem.errors?.[0]?.pointer).toBe(pointer);
});

test('GET /pool shows the queue, the own places in order, and no job of another team', async () => {
  await service.database.workers.upsert({ id: 'wrk_1', engine: 'onnxruntime', device: 'cpu', threads: 2, slots: 1 });
  const pool = (await service.call('GET', '/pool')).json<{ own: { job_id: string; place: { position: number } }[] }>();
  expect(pool).toMatchObject({
    workers: [{ id: 'wrk_1', engine: 'onnxruntime', busy_with: null }],
    queue: { jobs: { queued: 5, running: 0 } },
  });
  expect(pool.own.map((entry) => entry.job_id)).toEqual(ids.slice(1).reverse());
  // The other team's job takes its turn in between.
  expect(pool.own.map((entry) => entry.place.position)).toEqual([2, 3, 4, 5]);
  expectProblem(await service.call('GET', '/pool', { key: service.keys.writer }), 403, 'forbidden');
  expectProblem(await service.call('GET', '/pool', { key: null }), 401, 'unauthorized');
});

test('GET /pool/history tells what ran and waited, from the times of the tasks', async () => {
  const { data } = (await service.call('GET', '/pool/history')).json<{
    data: { at: string; running: number; waiting: number }[];
  }>();
  expect(data).toHaveLength(60);
  expect(data.map(({ at }) => at)).toEqual(data.map(({ at }) => at).sort());
  expect(data[0]).toMatchObject({ running: 0, waiting: 0 });
  expect(data.at(-1)).toMatchObject({ running: 0, waiting: 5 });
  // A task began half an hour ago and ended ten minutes ago; one that waits was there before the hour.
  const set = async (sql: string) => runSql(service.database.url, sql);
  await set(`update tasks set created_at = now() - interval '40 minutes', started_at = now() - interval '30 minutes',
    finished_at = now() - interval '10 minutes', state = 'succeeded' where id = (select min(id) from tasks where state = 'waiting')`);
  await set(
    `update tasks set created_at = now() - interval '3 hours' where id = (select max(id) from tasks where state = 'waiting')`,
  );
  const at = (moments: { running: number; waiting: number }[], ago: number) => {
    const { running, waiting } = moments.at(-1 - ago) ?? {};
    return [running, waiting];
  };
  const moments = await service.database.pool.history(60);
  expect([at(moments, 59), at(moments, 35), at(moments, 20), at(moments, 5)]).toEqual([
    [0, 1],
    [0, 2],
    [1, 1],
    [0, 1],
  ]);
  expect(at(moments, 0)).toEqual([0, 4]);
});
