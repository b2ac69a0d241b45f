import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_TEAM, type JobRecord } from '../../src/database/records.js';
import type { Database } from '../../src/database/repositories.js';
import { createJob, finishNext, claimNext, newJob, testSpec } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { addTeam, runSql } from '../support/teams.js';
import { until } from '../support/until.js';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

const create = async (
  database: Database,
  n: number,
  change: (i: number) => Parameters<typeof createJob>[1] = () => ({}),
) => {
  const ids: string[] = [];
  for (let i = 0; i < n; i++) ids.push((await createJob(database, change(i))).id);
  return ids;
};

/** Makes `n` jobs like one that is there, in one statement. */
const copies = (id: string, n: number): [string, unknown[]] => [
  `insert into jobs (id, team_id, spec, inputs) select 'job_' || i, team_id, spec, inputs
   from jobs cross join generate_series(1, $2::int) i where id = $1`,
  [id, n],
];

describe('lists of jobs', () => {
  it('come newest first in pages that meet, also while new jobs arrive', async () => {
    const database = await postgres.open();
    const ids = await create(database, 5);
    const first = await database.jobs.list(DEFAULT_TEAM, { limit: 2 });
    await create(database, 1);
    const after = first.data.at(-1)?.id ?? '';
    const second = await database.jobs.list(DEFAULT_TEAM, { limit: 2, after });
    const third = await database.jobs.list(DEFAULT_TEAM, { limit: 2, after: second.data.at(-1)?.id ?? '' });
    expect([first, second, third].flatMap((page) => page.data.map((job) => job.id))).toEqual([...ids].reverse());
    expect([first, second, third].map((page) => page.hasMore)).toEqual([true, true, false]);
  });

  it('are filtered by status, by all labels, and by time', async () => {
    const database = await postgres.open();
    const [a, b, c] = await create(database, 3, (i) => ({
      labels: { pipeline: i === 2 ? 'weekly' : 'nightly', branch: `b${i}` },
    }));
    await database.jobs.requestCancel(DEFAULT_TEAM, a ?? '');
    const list = async (filter: object) =>
      (await database.jobs.list(DEFAULT_TEAM, { limit: 10, ...filter })).data.map((job) => job.id);
    expect(await list({ status: ['canceled'] })).toEqual([a]);
    expect(await list({ status: ['queued', 'running'] })).toEqual([c, b]);
    expect(await list({ labels: { pipeline: 'nightly' } })).toEqual([b, a]);
    expect(await list({ labels: { pipeline: 'nightly', branch: 'b1' } })).toEqual([b]);
    expect(await list({ labels: { "pipeline' or 1=1 --": 'x' } })).toEqual([]);
    const middle = (await database.jobs.get(DEFAULT_TEAM, b ?? ''))?.createdAt ?? new Date();
    expect(await list({ createdAfter: middle })).toEqual([c]);
    expect(await list({ createdAfter: new Date(Date.now() + 1000) })).toEqual([]);
  });

  it('refuse a cursor that names no job, pointing at it', async () => {
    const database = await postgres.open();
    await expect(database.jobs.list(DEFAULT_TEAM, { limit: 1, after: 'job_nothing' })).rejects.toMatchObject({
      code: 'invalid_request',
      faults: [{ pointer: '/after' }],
    });
  });
});

describe('teams', () => {
  it('see nothing of each other, whatever they ask for', async () => {
    const database = await postgres.open();
    const other = await addTeam(database.url, 'team_other');
    const { id } = await createJob(database);
    for (let step = 0; step < 4; step++) await finishNext(database, 0);
    const { upload } = await database.uploads.create(DEFAULT_TEAM, {
      sha256: 'c'.repeat(64),
      key: 'uploads/x',
      bytes: 1,
      filename: 'm.onnx',
    });
    const key = await database.keys.create(DEFAULT_TEAM, {
      hash: 'd'.repeat(64),
      prefix: 'spk_1',
      name: 'ci',
      scopes: ['jobs:read'],
    });

    expect(await database.jobs.get(other, id)).toBeNull();
    expect(await database.jobs.brief(other, id)).toBeNull();
    expect((await database.jobs.list(other, { limit: 10 })).data).toEqual([]);
    await expect(database.jobs.list(other, { limit: 10, after: id })).rejects.toMatchObject({
      code: 'invalid_request',
    });
    expect(await database.jobs.requestCancel(other, id)).toBeNull();
    expect(await database.jobs.retry(other, id)).toBeNull();
    expect(await database.jobs.remove(other, id)).toBeNull();
    expect(await database.layers.list(other, id)).toBeNull();
    expect(await database.events.list(other, id, { limit: 10 })).toBeNull();
    expect(await database.artifacts.list(other, id)).toBeNull();
    expect(await database.artifacts.get(other, id, 'model.onnx')).toBeNull();
    expect(await database.uploads.get(other, upload.id)).toBeNull();
    expect(await database.uploads.findByHash(other, upload.sha256)).toBeNull();
    const names = [upload.id, `sha256:${upload.sha256}`, 'no\0name'];
    expect(await database.uploads.find(other, names)).toEqual([]);
    expect(await database.uploads.find(DEFAULT_TEAM, names)).toEqual([
      await database.uploads.get(DEFAULT_TEAM, upload.id),
    ]);
    expect(await database.keys.revoke(other, key.id)).toBeNull();
    expect(await database.keys.get(other, key.id)).toBeNull();
    expect((await database.keys.list(other, { limit: 10 })).data).toEqual([]);

    expect(await database.jobs.get(DEFAULT_TEAM, id)).toMatchObject({ id, status: 'succeeded' });
    expect(await database.artifacts.get(DEFAULT_TEAM, id, 'model.onnx')).toMatchObject({ bytes: 3 });
    expect(await database.keys.findByHash('d'.repeat(64))).toMatchObject({ id: key.id, teamId: DEFAULT_TEAM });
  });

  it('share the pool by their weights, and one alone gets all of it', async () => {
    const database = await postgres.open();
    const heavy = await addTeam(database.url, 'team_heavy', 3);
    await database.workers.upsert({ id: 'wrk_pool', engine: 'test', device: 'cpu', threads: 1, slots: 4 });
    for (let i = 0; i < 8; i++) await createJob(database);
    for (let i = 0; i < 8; i++) await createJob(database, {}, heavy);
    expect(await database.pool.release()).toHaveLength(8);
    const { teams } = await database.pool.overview();
    const left = new Map(teams.map((team) => [team.teamId, team.waitingTasks]));
    expect([left.get(heavy), left.get(DEFAULT_TEAM)]).toEqual([2, 6]);
  });
});

describe('a job', () => {
  it('is refused beyond the limit of its team, also when many come at once', async () => {
    const database = await postgres.open({ MAX_QUEUED_JOBS: 3 });
    const results = await Promise.allSettled(Array.from({ length: 6 }, () => createJob(database)));
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(3);
    for (const result of results) {
      if (result.status === 'rejected')
        expect(result.reason).toMatchObject({ code: 'limit_exceeded', message: /queued_jobs/ });
    }
    const [first] = (await database.jobs.list(DEFAULT_TEAM, { limit: 1 })).data;
    await database.jobs.requestCancel(DEFAULT_TEAM, first?.id ?? '');
    await createJob(database);
  });

  it('is counted for the limit where its count is near, whoever made the others', async () => {
    // So far from the limit that a count of a moment ago would do for the first one.
    const database = await postgres.open({ MAX_QUEUED_JOBS: 1002 });
    const { id } = await createJob(database);
    await runSql(database.url, ...copies(id, 1000));
    await createJob(database);
    await expect(createJob(database)).rejects.toMatchObject({ code: 'limit_exceeded', message: /has 1002 jobs/ });
  });

  it('is counted for the limit with all that other processes made since the last count', async () => {
    const database = await postgres.open({ MAX_QUEUED_JOBS: 1030 });
    const { id } = await createJob(database);
    const other = new pg.Client({ connectionString: database.url });
    await other.connect();
    // Without triggers, to be done while a count of a moment ago would still serve.
    await other.query('set session_replication_role = replica');
    await database.jobs.create(DEFAULT_TEAM, newJob());
    await other.query(...copies(id, 1027));
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, () => database.jobs.create(DEFAULT_TEAM, newJob())),
    );
    await other.end();
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('gets the last place of its team once, at whichever process it is asked for', async () => {
    const database = await postgres.open({ MAX_QUEUED_JOBS: 1100 });
    const other = await postgres.openAgain(database, { MAX_QUEUED_JOBS: 1100 });
    const { id } = await createJob(database);
    await createJob(other);
    await runSql(database.url, ...copies(id, 998));
    const results = await Promise.allSettled(
      Array.from({ length: 300 }, (_, i) => (i % 2 === 0 ? database : other).jobs.create(DEFAULT_TEAM, newJob())),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(100);
    for (const result of results)
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'limit_exceeded' });
  });

  it('that is refused, for want of room or of its files, leaves its idempotency key free', async () => {
    const database = await postgres.open({ MAX_QUEUED_JOBS: 1 });
    const first = await createJob(database);
    const refused = async () => {
      const start = await database.idempotency.begin(DEFAULT_TEAM, 'key', 'a');
      if (start.state !== 'started') throw new Error(`not started but ${start.state}`);
      const failure: unknown = await database.jobs
        .create(DEFAULT_TEAM, newJob({ idempotencyToken: start.token }))
        .catch((error: unknown) => error);
      await database.idempotency.abandon(DEFAULT_TEAM, 'key', start.token);
      return failure;
    };
    expect(await refused()).toMatchObject({ code: 'limit_exceeded' });
    await database.jobs.requestCancel(DEFAULT_TEAM, first.id);
    await runSql(database.url, 'delete from uploads');
    expect(await refused()).toMatchObject({ code: 'conflict', faults: [{ pointer: '/model' }, {}] });
    expect(await database.idempotency.begin(DEFAULT_TEAM, 'key', 'b')).toMatchObject({ state: 'started' });
  });

  it('is the same as it was made and as it is read, and in brief', async () => {
    const database = await postgres.open();
    const needs = { engine: 'tensorflow' as const, device_memory_bytes: 1024 };
    const spec = { ...testSpec(), resources: needs };
    const change = { spec, labels: { a: 'b' }, priority: 'high' as const, deadlineSeconds: 60 };
    const made = await createJob(database, change);
    const read = await database.jobs.get(DEFAULT_TEAM, made.id);
    expect(read).toEqual({ ...made, seconds: { queued: expect.any(Number) as number, running: 0, device: 0 } });
    expect(made).toMatchObject({ status: 'queued', needs, labels: { a: 'b' } });
    const brief = ({ id, seq, teamId, status, version, priority, needs: asked, progress }: JobRecord) => ({
      ...{ id, seq, teamId, status, version, priority, needs: asked },
      progress: { etaSeconds: progress.etaSeconds },
    });
    expect(await database.jobs.brief(DEFAULT_TEAM, made.id)).toEqual(brief(made));
    await runSql(
      database.url,
      `update jobs set status = 'running', fraction = 0.5, running_seconds = 10, clock_running = false where id = $1`,
      [made.id],
    );
    const running = await database.jobs.get(DEFAULT_TEAM, made.id);
    expect(running).toMatchObject({ version: 2, progress: { etaSeconds: 10 } });
    if (running !== null) expect(await database.jobs.brief(DEFAULT_TEAM, made.id)).toEqual(brief(running));
    expect(await database.jobs.brief(DEFAULT_TEAM, 'job_nothing')).toBeNull();
  });

  it('is removed with all that hangs on it, but only when finished', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database);
    await expect(database.jobs.remove(DEFAULT_TEAM, id)).rejects.toMatchObject({ code: 'conflict' });
    for (let step = 0; step < 4; step++) await finishNext(database, 0);
    expect(await database.jobs.remove(DEFAULT_TEAM, id)).toEqual({ prefixes: [`jobs/${id}/`] });
    expect(await database.jobs.get(DEFAULT_TEAM, id)).toBeNull();
    expect(await database.events.list(DEFAULT_TEAM, id, { limit: 1 })).toBeNull();
    expect(await database.jobs.remove(DEFAULT_TEAM, id)).toBeNull();
  });

  it('knows its place: behind older and more important jobs, first after they have started', async () => {
    const database = await postgres.open();
    await database.workers.upsert({ id: 'wrk_a', engine: 'onnxruntime', device: 'cpu', threads: 1, slots: 1 });
    const first = await createJob(database);
    const second = await createJob(database);
    const becomes = (what: string, job: typeof first, place: object) =>
      until(what, async () => {
        const now = await database.jobs.place(job);
        return Object.entries(place).every(([key, value]) => now[key as keyof typeof now] === value);
      });
    await becomes('behind the older', second, {
      position: 2,
      reason: 'waiting_for_worker',
      expectedStartSeconds: null,
    });
    await createJob(database, { priority: 'high' });
    await becomes('behind the more important', first, { position: 2, reason: 'higher_priority' });
    await claimNext(database);
    await becomes('first when that has started', first, { position: 1, reason: 'waiting_for_worker' });
    await claimNext(database);
    expect(await database.jobs.get(DEFAULT_TEAM, first.id)).toMatchObject({ status: 'running' });
    await becomes('first too', second, { position: 1 });
  });

  it('more important jobs of a team start first, and the layers of the oldest before younger jobs', async () => {
    const database = await postgres.open();
    const old = await createJob(database);
    await finishNext(database, 2);
    await finishNext(database, 2);
    const low = await createJob(database, { priority: 'low' });
    const high = await createJob(database, { priority: 'high' });
    const order: string[] = [];
    for (let i = 0; i < 8; i++) {
      const assignment = await claimNext(database);
      // The other layer of the job that has failed.
      if (assignment === null) continue;
      order.push(assignment.jobId);
      await database.pool.fail(assignment.taskId, assignment.attempt, {
        code: 'invalid_model',
        detail: '',
        origin: 'input',
        layer: null,
        faults: [],
      });
    }
    expect(order).toEqual([high.id, old.id, low.id]);
  });

  it('events come in pages, each once and in order', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database);
    for (let step = 0; step < 6; step++) await finishNext(database, 2);
    const all = (await database.events.list(DEFAULT_TEAM, id, { limit: 100 }))?.data ?? [];
    const paged = [];
    for (let after = 0, more = true; more;) {
      const page = await database.events.list(DEFAULT_TEAM, id, { after, limit: 3 });
      paged.push(...(page?.data ?? []));
      after = paged.at(-1)?.id ?? 0;
      more = page?.hasMore ?? false;
    }
    expect(paged).toEqual(all);
    expect(all.length).toBeGreaterThan(8);
  });
});

describe('uploads', () => {
  const upload = (key: string) => ({ sha256: 'e'.repeat(64), key, bytes: 5e9, filename: 'big.npz' });

  it('of the same content are one, the first file is kept, and the second is to be deleted', async () => {
    const database = await postgres.open();
    const first = await database.uploads.create(DEFAULT_TEAM, upload('uploads/first'));
    const second = await database.uploads.create(DEFAULT_TEAM, upload('uploads/second'));
    expect(first.created).toBe(true);
    expect(second).toMatchObject({ created: false, upload: { id: first.upload.id, key: 'uploads/first', bytes: 5e9 } });
    expect(second.upload.expiresAt.getTime()).toBeGreaterThanOrEqual(first.upload.expiresAt.getTime());
  });

  it('of the same content at the same time are one too', async () => {
    const database = await postgres.open();
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, i) => database.uploads.create(DEFAULT_TEAM, upload(`uploads/${i}`))),
    );
    expect(new Set(all.map(({ upload: { id } }) => id)).size).toBe(1);
    expect(all.filter(({ created }) => created)).toHaveLength(1);
  });

  it('are gone after their time, but not while a job needs them; their keys are handed out for deletion once', async () => {
    const database = await postgres.open();
    const free = await database.uploads.create(DEFAULT_TEAM, upload('uploads/free'));
    const job = await createJob(database);
    const { model, calibration } = job.inputs;
    expect(await database.pool.expire(10)).toEqual([]);
    await runSql(database.url, "update uploads set expires_at = now() - interval '1 second'");
    expect(await database.uploads.get(DEFAULT_TEAM, free.upload.id)).toBeNull();
    expect(await database.uploads.findByHash(DEFAULT_TEAM, model.sha256)).toBeNull();
    expect(await database.pool.expire(10)).toEqual(['uploads/free']);
    await database.jobs.requestCancel(DEFAULT_TEAM, job.id);
    expect((await database.pool.expire(10)).sort()).toEqual([calibration.key, model.key]);
    expect(await database.pool.expire(10)).toEqual([]);
  });

  it('that a new job reads stay although their time is over, or the job is refused and nothing of it is there', async () => {
    const database = await postgres.open();
    const { model, calibration } = newJob().inputs;
    for (const file of [model, calibration]) await database.uploads.create(DEFAULT_TEAM, file);
    const expired = "update uploads set expires_at = now() - interval '1 second'";
    await runSql(database.url, expired);
    const job = await database.jobs.create(DEFAULT_TEAM, newJob());
    expect(await database.pool.expire(10)).toEqual([]);
    await database.jobs.requestCancel(DEFAULT_TEAM, job.id);
    await runSql(database.url, `${expired} where storage_key like '%calibration%'`);
    expect(await database.pool.expire(10)).toEqual([calibration.key]);
    await expect(database.jobs.create(DEFAULT_TEAM, newJob())).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('its calibration is not stored any more') as string,
      faults: [{ pointer: '/calibration', detail: 'is not stored any more' }],
    });
    expect((await database.jobs.list(DEFAULT_TEAM, { limit: 10 })).data.map(({ id }) => id)).toEqual([job.id]);
  });

  it('are never missing from a job that was made while they expired', async () => {
    const database = await postgres.open();
    const { model, calibration } = newJob().inputs;
    let made = 0;
    for (let round = 0; round < 40; round++) {
      for (const file of [model, calibration]) await database.uploads.create(DEFAULT_TEAM, file);
      await runSql(database.url, "update uploads set expires_at = now() - interval '1 second'");
      const expiry = async () => {
        await sleep(round % 8);
        return database.pool.expire(10);
      };
      const [job, gone] = await Promise.all([
        database.jobs.create(DEFAULT_TEAM, newJob()).catch((error: unknown) => error as { code: string }),
        expiry(),
      ]);
      if ('id' in job) {
        made++;
        expect(gone).toEqual([]);
        await database.jobs.requestCancel(DEFAULT_TEAM, job.id);
      } else expect(job.code).toBe('conflict');
    }
    expect(made).toBeGreaterThan(0);
  });

  it('that are renewed while they are about to expire stay', async () => {
    const database = await postgres.open();
    await database.uploads.create(DEFAULT_TEAM, upload('uploads/renewed'));
    await runSql(database.url, "update uploads set expires_at = now() - interval '1 second'");
    const other = new pg.Client({ connectionString: database.url });
    await other.connect();
    await other.query('begin');
    await other.query("update uploads set expires_at = now() + interval '1 day'");
    const expired = database.pool.expire(10);
    await until('the expiry waits for the renewal', async () => {
      const { rowCount } = await other.query("select from pg_locks where locktype = 'transactionid' and not granted");
      return rowCount === 1;
    });
    await other.query('commit');
    expect(await expired).toEqual([]);
    expect(await database.uploads.findByHash(DEFAULT_TEAM, upload('').sha256)).not.toBeNull();
    await other.end();
  });
});

describe('keys', () => {
  it('are found while they are valid, made once, and noted as used', async () => {
    const database = await postgres.open();
    const make = (hash: string, expiresAt: Date | null = null) =>
      database.keys.create(DEFAULT_TEAM, {
        hash: hash.repeat(64),
        prefix: 'spk_',
        name: 'ci',
        scopes: ['admin'],
        expiresAt,
      });
    const key = await make('1');
    expect((await make('1')).id).toBe(key.id);
    await make('2', new Date(Date.now() - 1000));
    expect(await database.keys.findByHash('2'.repeat(64))).toBeNull();
    expect(key.lastUsedAt).toBeNull();
    await database.keys.touch(key);
    const used = await database.keys.findByHash('1'.repeat(64));
    expect(used?.lastUsedAt).toBeInstanceOf(Date);
    await database.keys.touch(key);
    expect((await database.keys.findByHash('1'.repeat(64)))?.lastUsedAt).toEqual(used?.lastUsedAt);
    expect((await database.keys.revoke(DEFAULT_TEAM, key.id))?.revokedAt).toBeInstanceOf(Date);
    expect(await database.keys.findByHash('1'.repeat(64))).toBeNull();
  });
});

describe('idempotency keys', () => {
  const begin = (database: Database, body = 'a', team = DEFAULT_TEAM) => database.idempotency.begin(team, 'key', body);
  const started = async (database: Database, body = 'a') => {
    const state = await begin(database, body);
    if (state.state !== 'started') throw new Error(`not started but ${state.state}`);
    return state.token;
  };

  it('replay the answer for the same body, refuse another body, and belong to one team', async () => {
    const database = await postgres.open();
    const other = await addTeam(database.url, 'team_other');
    const token = await started(database);
    expect(await begin(database)).toEqual({ state: 'in_flight' });
    expect(await begin(database, 'b')).toEqual({ state: 'mismatch' });
    expect(
      await database.idempotency.finish(DEFAULT_TEAM, 'key', token, { statusCode: 202, response: { id: 'job_1' } }),
    ).toBe(true);
    expect(await begin(database)).toEqual({ state: 'replay', statusCode: 202, response: { id: 'job_1' } });
    expect(await begin(database, 'b')).toEqual({ state: 'mismatch' });
    expect(await begin(database, 'b', other)).toMatchObject({ state: 'started' });
  });

  it('one of many at the same time is in charge', async () => {
    const database = await postgres.open();
    const states = await Promise.all(Array.from({ length: 8 }, () => begin(database)));
    expect(states.filter(({ state }) => state === 'started')).toHaveLength(1);
    expect(states.filter(({ state }) => state === 'in_flight')).toHaveLength(7);
  });

  it('are free again when the request is abandoned, or died long ago; the late one is told', async () => {
    const database = await postgres.open();
    const first = await started(database);
    await database.idempotency.abandon(DEFAULT_TEAM, 'key', first);
    const second = await started(database, 'b');
    await runSql(database.url, "update idempotency_keys set in_flight_until = now() - interval '1 second'");
    const third = await started(database, 'b');
    expect(third).not.toBe(second);
    expect(await database.idempotency.finish(DEFAULT_TEAM, 'key', second, { statusCode: 202, response: {} })).toBe(
      false,
    );
    await expect(createJob(database, { idempotencyToken: second })).rejects.toMatchObject({
      code: 'idempotency_in_flight',
    });
    expect((await database.jobs.list(DEFAULT_TEAM, { limit: 5 })).data).toEqual([]);
  });

  it('a process that dies after making the job does not lead to a second job', async () => {
    const database = await postgres.open();
    const token = await started(database);
    const { id } = await createJob(database, { idempotencyToken: token });
    // A client that asks again gets the job at once: there is nothing to wait for.
    expect(await begin(database)).toMatchObject({ state: 'created', jobId: id });
    await runSql(database.url, "update idempotency_keys set in_flight_until = now() - interval '1 second'");
    const again = await begin(database);
    expect(again).toMatchObject({ state: 'created', jobId: id });
    if (again.state !== 'created') return;
    await database.idempotency.finish(DEFAULT_TEAM, 'key', again.token, { statusCode: 202, response: { id } });
    expect(await begin(database)).toEqual({ state: 'replay', statusCode: 202, response: { id } });
  });

  it('are forgotten after a day', async () => {
    const database = await postgres.open();
    await database.idempotency.finish(DEFAULT_TEAM, 'key', await started(database), { statusCode: 202, response: {} });
    await runSql(database.url, "update idempotency_keys set created_at = now() - interval '25 hours'");
    await started(database, 'b');
    await runSql(database.url, "update idempotency_keys set created_at = now() - interval '25 hours'");
    await database.pool.expire(1);
    await started(database, 'c');
  });
});

describe('the pool', () => {
  it('shows workers with what they run, and counts of jobs and tasks', async () => {
    const database = await postgres.open();
    await database.workers.upsert({ id: 'wrk_a', engine: 'onnxruntime', device: 'cpu', threads: 2, slots: 1 });
    await database.workers.upsert({ id: 'wrk_a', engine: 'onnxruntime', device: 'cpu', threads: 4, slots: 1 });
    await create(database, 3);
    const assignment = await claimNext(database, 'wrk_a');
    const overview = await database.pool.overview();
    expect(overview.workers).toMatchObject([
      { id: 'wrk_a', threads: 4, busy: { taskId: assignment?.taskId, kind: 'inspect', layer: null } },
    ]);
    expect(overview.jobs).toEqual({ queued: 2, running: 1 });
    expect(overview.tasks).toEqual({ waiting: 1, released: 1, running: 1, unmatched: 0 });
    expect(overview.classes).toMatchObject([{ name: '', workers: 1, slots: 1, running: 1, released: 1 }]);
    expect(overview.teams).toMatchObject([
      { teamId: DEFAULT_TEAM, weight: 1, queuedJobs: 2, runningTasks: 1, waitingTasks: 1 },
    ]);
    await database.workers.remove('wrk_a');
    expect(await database.workers.list()).toEqual([]);
  });
});
