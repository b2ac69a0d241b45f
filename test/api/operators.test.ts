import { Readable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hashKey } from '../../src/api/plugins/auth.js';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import { claimNext, createJob } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { runSql } from '../support/teams.js';
import { expectProblem, startService, upload, type TestService } from './support/service.js';

interface Entry {
  id: string;
  action: string;
  actor: { key_prefix: string; request_id: string } | null;
  team_id: string | null;
  subject: string;
  detail: Record<string, unknown>;
}
interface Listed {
  data: { id: string; team_id: string }[];
  has_more: boolean;
  next: string | null;
}

let postgres: TestPostgres;
let service: TestService;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());
beforeEach(async () => {
  service = await startService(postgres);
  return () => service.close();
});

const audit = async (query = ''): Promise<Entry[]> =>
  (await service.call('GET', `/admin/audit?limit=100${query}`)).json<{ data: Entry[] }>().data;
const worker = (id: string) => ({ id, engine: 'onnxruntime', device: 'cpu', threads: 1, slots: 1 });

describe('jobs of all teams', () => {
  test('are listed with a filter by team and a cursor, read and canceled; the cancel is noted', async () => {
    const { database } = service;
    const own = await createJob(database);
    const other = await createJob(database, {}, 'team_other');
    const list = async (query: string) => (await service.call('GET', `/admin/jobs${query}`)).json<Listed>();
    expect((await list('')).data.map(({ id }) => id)).toEqual([other.id, own.id]);
    expect((await list('?team=team_other&status=queued')).data.map(({ team_id }) => team_id)).toEqual(['team_other']);
    const first = await list('?limit=1');
    expect(first).toMatchObject({ data: [{ id: other.id }], has_more: true, next: other.id });
    expect((await list(`?limit=1&after=${other.id}`)).data).toMatchObject([{ id: own.id }]);
    expect((await service.call('GET', `/admin/jobs/${other.id}`)).json()).toMatchObject({ team_id: 'team_other' });
    // The call for a team's own jobs finds it no more than before.
    expect((await service.call('GET', `/jobs/${other.id}`)).statusCode).toBe(404);

    const canceled = await service.call('POST', `/admin/jobs/${other.id}/cancel`, {
      headers: { 'x-request-id': 'req-cancel' },
    });
    expect([canceled.statusCode, canceled.json<{ status: string }>().status]).toEqual([200, 'canceled']);
    expect((await service.call('POST', `/admin/jobs/${other.id}/cancel`)).statusCode).toBe(200);
    expect(await audit('&action=job.canceled')).toMatchObject([
      { team_id: 'team_other', subject: other.id, actor: { request_id: 'req-cancel' } },
    ]);
    expectProblem(await service.call('GET', '/admin/jobs/job_none'), 404, 'not_found');
    expectProblem(await service.call('POST', '/admin/jobs/job_none/cancel'), 404, 'not_found');
  });

  test('are canceled many at once, of one team or of all, each noted', async () => {
    const { database } = service;
    const ids = [(await createJob(database)).id, (await createJob(database, {}, 'team_other')).id];
    const cancel = async (query: string, payload: object) =>
      (await service.call('POST', `/admin/jobs/cancel${query}`, { payload })).json<object>();
    expect(await cancel('?team=team_other', { ids })).toEqual({ matched: 1, canceled: 1, canceling: 0, unchanged: 0 });
    expect(await cancel('', { ids })).toEqual({ matched: 2, canceled: 1, canceling: 0, unchanged: 1 });
    expect((await audit('&action=job.canceled')).map(({ subject }) => subject).sort()).toEqual(ids.sort());
    expectProblem(
      await service.call('POST', '/admin/jobs/cancel', { payload: { ids }, key: service.keys.reader }),
      403,
      'forbidden',
    );
  });

  test('are named in the pool to an admin only', async () => {
    const { database } = service;
    await database.workers.upsert(worker('wrk_a'));
    const { id } = await createJob(database, {}, 'team_other');
    await claimNext(database, 'wrk_a');
    const busy = async (key: string) =>
      (await service.call('GET', '/pool', { key })).json<{ workers: { busy_with: unknown }[] }>().workers[0]?.busy_with;
    expect(await busy(service.keys.all)).toMatchObject({ job_id: id, team_id: 'team_other', task: 'inspect' });
    expect(await busy(service.keys.reader)).toMatchObject({ job_id: null, team_id: null, task: 'inspect' });
    expect(await busy(service.keys.stranger)).toMatchObject({ job_id: id, team_id: 'team_other' });
  });
});

describe('a draining worker', () => {
  test('has no places any more, and its running task takes none; undone, it has them again', async () => {
    const { database } = service;
    await database.workers.upsert(worker('wrk_a'));
    await createJob(database);
    await claimNext(database, 'wrk_a');
    const told: string[] = [];
    database.notifications.subscribe('worker:wrk_a', () => told.push('wrk_a'));
    const drained = await service.call('POST', '/admin/workers/wrk_a/drain');
    expect(drained.json()).toMatchObject({ id: 'wrk_a', draining_since: expect.any(String) as string });
    expect(await database.workers.upsert(worker('wrk_a'))).toEqual({ draining: true });
    expect((await database.pool.overview()).classes).toEqual([]);
    await database.workers.upsert(worker('wrk_b'));
    expect((await database.pool.overview()).classes).toMatchObject([{ workers: 1, slots: 1, running: 0 }]);
    expect((await service.call('POST', '/admin/workers/wrk_a/drain')).statusCode).toBe(200);

    const undone = await service.call('DELETE', '/admin/workers/wrk_a/drain');
    expect(undone.json()).toMatchObject({ draining_since: null });
    expect(await database.workers.upsert(worker('wrk_a'))).toEqual({ draining: false });
    expect((await database.pool.overview()).classes).toMatchObject([{ workers: 2, slots: 2, running: 1 }]);
    expect((await audit()).map(({ action }) => action).slice(0, 2)).toEqual(['worker.undrained', 'worker.drained']);
    expectProblem(await service.call('POST', '/admin/workers/wrk_none/drain'), 404, 'not_found');
  });

  test('alone leaves what was released to it to others', async () => {
    const { database } = service;
    await database.workers.upsert({ ...worker('wrk_gpu'), engine: 'webgpu' });
    await createJob(database);
    expect(await database.pool.release()).toMatchObject([{ workerClass: 'webgpu' }]);
    await service.call('POST', '/admin/workers/wrk_gpu/drain');
    await database.workers.upsert(worker('wrk_plain'));
    expect(await database.pool.release()).toMatchObject([{ workerClass: '', attempt: 2 }]);
  });
});

describe('removing a team', () => {
  const remove = (id: string, query = '') => service.call('DELETE', `/teams/${id}${query}`);

  test('is refused while its jobs have not ended, for the own team and for that of the service', async () => {
    await createJob(service.database, {}, 'team_other');
    expect(expectProblem(await remove('team_other'), 409, 'conflict').detail).toContain('1 jobs that have not ended');
    expectProblem(await remove(DEFAULT_TEAM), 409, 'conflict');
    expectProblem(await remove('team_none'), 404, 'not_found');
    expect((await service.call('GET', '/jobs', { key: service.keys.stranger })).statusCode).toBe(200);
  });

  test('takes keys, jobs, uploads and files away, counts what its running task used, and keeps its usage', async () => {
    const { database, storage } = service;
    const stranger = {
      ...service,
      call: (...[method, url, options]: Parameters<TestService['call']>) =>
        service.call(method, url, { ...options, key: service.keys.stranger }),
    };
    await upload(stranger, 'a model of another team');
    await upload(service, 'a model of our own');
    const job = await createJob(database, {}, 'team_other');
    const kept = await createJob(database);
    let task = await claimNext(database, 'wrk_a');
    if (task?.jobId !== job.id) task = await claimNext(database, 'wrk_a');
    expect(task?.jobId).toBe(job.id);
    await runSql(database.url, "update tasks set started_at = started_at - interval '30 seconds' where job_id = $1", [
      job.id,
    ]);
    await storage.put(`jobs/${job.id}/work/a`, Readable.from([Buffer.from('x')]), { maxBytes: 10 });

    expect((await remove('team_other', '?cancel_jobs=true')).statusCode).toBe(204);
    expectProblem(await service.call('GET', '/jobs', { key: service.keys.stranger }), 401, 'unauthorized');
    expectProblem(await remove('team_other'), 404, 'not_found');
    expect(await database.jobs.find(job.id)).toBeNull();
    expect(await database.jobs.find(kept.id)).not.toBeNull();
    const files = (await service.files()).filter((file) => file.includes('uploads/') || file.includes('jobs/'));
    expect(files.filter((file) => file.includes('team_other') || file.includes(job.id))).toEqual([]);
    expect(files.length).toBeGreaterThan(0);
    // Its worker hears that the task is not its own any more.
    if (task !== null) expect(await database.pool.heartbeat(task.taskId, task.attempt, { fraction: 0.5 })).toBe('lost');
    const usage = await database.usage.sum('team_other', {
      from: '2000-01-01',
      to: '2100-01-01',
      by: ['team'],
      label: null,
      limit: 10,
    });
    expect(usage).toMatchObject([{ teamId: 'team_other', jobs: 1 }]);
    expect(usage[0]?.deviceSeconds).toBeGreaterThanOrEqual(30);
    expect(await audit('&team=team_other&action=team.removed')).toMatchObject([
      { subject: 'team_other', detail: { name: 'team_other', open_jobs: 1 }, actor: { key_prefix: 'spk_test' } },
    ]);
  });

  test('that was interrupted goes on with the next call', async () => {
    await createJob(service.database, {}, 'team_other');
    await service.database.teams.close('team_other', { cancelJobs: true });
    expect((await remove('team_other', '?cancel_jobs=true')).statusCode).toBe(204);
  });
});

describe('the audit log', () => {
  test('has what was done to teams and keys, by whom, with a cursor; a change without an actor was made by the service', async () => {
    const made = (await service.call('POST', '/teams', { payload: { name: 'new' } })).json<{ id: string }>();
    await service.call('PATCH', `/teams/${made.id}`, { payload: { weight: 3 } });
    const key = (
      await service.call('POST', `/teams/${made.id}/keys`, { payload: { name: 'ci', scopes: ['jobs:read'] } })
    ).json<{ id: string; key: string }>();
    for (let i = 0; i < 2; i++) await service.call('DELETE', `/teams/${made.id}/keys/${key.id}`);
    const all = await audit(`&team=${made.id}`);
    expect(all.map(({ action, subject }) => [action, subject])).toEqual([
      ['key.revoked', key.id],
      ['key.created', key.id],
      ['team.changed', made.id],
      ['team.created', made.id],
    ]);
    expect(all[2]?.detail).toEqual({ weight: 3, limits: {} });
    expect(all.every(({ actor }) => actor?.key_prefix === 'spk_test')).toBe(true);
    expect(JSON.stringify(all)).not.toContain(key.key);
    const page = (await service.call('GET', `/admin/audit?limit=3&team=${made.id}`)).json<Listed>();
    expect(page).toMatchObject({ has_more: true, next: all[2]?.id });
    expect(await audit(`&team=${made.id}&after=${page.next ?? ''}`)).toEqual(all.slice(3));
    // The keys of this test were made without a caller.
    expect((await audit('&action=key.created')).at(-1)?.actor).toBeNull();
    for (const query of ['after=x', 'action=nothing', 'created_after=now'])
      expectProblem(await service.call('GET', `/admin/audit?${query}`), 400, 'invalid_request');
  });

  test('is not written when the change was refused, and forgets after AUDIT_TTL_DAYS', async () => {
    await service.call('POST', '/teams', { payload: { name: 'team_other' } });
    expect(await audit('&action=team.created')).toEqual([]);
    const before = (await audit()).length;
    const { database } = service;
    await runSql(
      database.url,
      "update audit_log set at = at - interval '366 days' where seq = (select min(seq) from audit_log)",
    );
    expect(await database.pool.expireRows(100)).toMatchObject({ audit: 1 });
    expect(await audit()).toHaveLength(before - 1);
  });

  test('the bootstrap key is noted once', async () => {
    const key = { hash: hashKey('k'), prefix: 'k', name: 'bootstrap', scopes: ['admin' as const] };
    for (let i = 0; i < 2; i++) await service.database.keys.create(DEFAULT_TEAM, key);
    const noted = (await audit('&action=key.created')).filter(({ detail }) => detail['name'] === 'bootstrap');
    expect(noted).toHaveLength(1);
  });
});
