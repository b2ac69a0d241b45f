import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { finishNext } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { runSql } from '../support/teams.js';
import { until } from '../support/until.js';
import { expectProblem, startService, submit, upload, type TestService } from './support/service.js';

let postgres: TestPostgres;
let service: TestService;

beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres);
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

interface Key {
  id: string;
  key: string;
  prefix: string;
  revoked_at: string | null;
  last_used_at: string | null;
}
interface Team {
  id: string;
  weight: number;
  limits: Record<string, number | null>;
}

async function makeTeam(name: string, body: object = {}): Promise<Team> {
  const response = await service.call('POST', '/teams', { payload: { name, ...body } });
  expect(response.statusCode, response.body).toBe(201);
  return response.json();
}

async function makeKey(team: string, scopes: string[], body: object = {}, key?: string) {
  const response = await service.call('POST', `/teams/${team}/keys`, {
    payload: { name: 'a key', scopes, ...body },
    ...(key === undefined ? {} : { key }),
  });
  expect(response.statusCode, response.body).toBe(201);
  const made = response.json<Key>();
  return { ...made, bearer: `Bearer ${made.key}` };
}

describe('teams', () => {
  test('are made, read, changed and listed by admins', async () => {
    const team = await makeTeam('vision', { weight: 2.5, limits: { running_tasks: 4, storage_bytes: 5e12 } });
    const limits = { running_tasks: 4, queued_jobs: null, storage_bytes: 5e12, requests_per_minute: null };
    expect(team).toMatchObject({ object: 'team', name: 'vision', weight: 2.5, limits });
    const changed = await service.call('PATCH', `/teams/${team.id}`, {
      payload: { weight: 1, limits: { running_tasks: null, queued_jobs: 7 } },
    });
    expect(changed.json()).toMatchObject({
      name: 'vision',
      weight: 1,
      limits: { ...limits, running_tasks: null, queued_jobs: 7 },
    });
    const read = await service.call('GET', `/teams/${team.id}`);
    expect(read.json()).toMatchObject({
      ...changed.json<object>(),
      in_use: { running_tasks: 0, queued_jobs: 0, storage_bytes: 0 },
    });
    const first = await service.call('GET', '/teams?limit=1');
    const { data, next } = first.json<{ data: Team[]; next: string }>();
    expect(data.map(({ id }) => id)).toEqual(['team_default']);
    const rest = await service.call('GET', `/teams?after=${next}`);
    expect(rest.json<{ data: Team[] }>().data.map(({ id }) => id)).toEqual(['team_other', team.id]);
    expectProblem(await service.call('GET', '/teams?after=team_none'), 400, 'invalid_request');
    expectProblem(await service.call('GET', '/teams/team_none'), 404, 'not_found');
  });

  test('have names of their own, and weights and limits that make sense', async () => {
    await makeTeam('speech');
    const problem = expectProblem(
      await service.call('POST', '/teams', { payload: { name: 'speech' } }),
      409,
      'conflict',
    );
    expect(problem.errors?.[0]?.pointer).toBe('/name');
    const other = await makeTeam('text');
    expectProblem(await service.call('PATCH', `/teams/${other.id}`, { payload: { name: 'speech' } }), 409, 'conflict');
    for (const body of [
      {},
      { name: 'x', weight: 0 },
      { name: 'x', weight: 1e9 },
      { name: '' },
      { name: 'x', limits: { running_tasks: 0 } },
      { name: 'x', limits: { storage_bytes: 1.5 } },
      { name: 'x', limits: { nonsense: 1 } },
      { name: 'x', id: 'team_mine' },
    ])
      expectProblem(await service.call('POST', '/teams', { payload: body }), 400, 'invalid_request');
    expectProblem(await service.call('PATCH', `/teams/${other.id}`, { payload: {} }), 400, 'invalid_request');
    expectProblem(await service.call('PATCH', '/teams/team_none', { payload: { weight: 2 } }), 404, 'not_found');
  });
});

describe('keys', () => {
  test('are shown once, kept as a hash, open the service, and are gone at once when revoked', async () => {
    const team = await makeTeam('keys');
    const made = await makeKey(team.id, ['jobs:read']);
    expect(made.key).toMatch(/^spk_[\w-]{43}$/);
    expect(made.prefix).toBe(made.key.slice(0, 8));
    const path = `/teams/${team.id}/keys/${made.id}`;
    const { key: _, bearer, ...shown } = made;
    expect((await service.call('GET', path)).json()).toEqual(shown);
    expect((await service.call('GET', '/jobs', { key: bearer })).statusCode).toBe(200);
    const revoked = await service.call('DELETE', path);
    expect(revoked.json<Key>().revoked_at).not.toBeNull();
    expectProblem(await service.call('GET', '/jobs', { key: bearer }), 401, 'unauthorized');
    expect((await service.call('DELETE', path)).json()).toMatchObject({ revoked_at: revoked.json<Key>().revoked_at });
    const list = await service.call('GET', `/teams/${team.id}/keys`);
    expect(list.json<{ data: Key[] }>().data).toMatchObject([{ id: made.id, prefix: made.prefix }]);
    expect(list.body).not.toContain(made.key);
    expectProblem(await service.call('GET', `/teams/${team.id}/keys?after=key_none`), 400, 'invalid_request');
    expectProblem(
      await service.call('POST', '/teams/team_none/keys', { payload: { name: 'x', scopes: ['jobs:read'] } }),
      404,
      'not_found',
    );
  });

  test('expire, and cannot be made with a time that is over or none', async () => {
    const soon = await makeKey('self', ['jobs:read'], { expires_at: new Date(Date.now() + 60_000).toISOString() });
    expect((await service.call('GET', '/jobs', { key: soon.bearer })).statusCode).toBe(200);
    await runSql(service.database.url, "update api_keys set expires_at = now() - interval '1 ms' where id = $1", [
      soon.id,
    ]);
    expectProblem(await service.call('GET', '/jobs', { key: soon.bearer }), 401, 'unauthorized');
    for (const expires_at of ['2020-01-01T00:00:00Z', 'tomorrow', 5]) {
      const payload = { name: 'x', scopes: ['jobs:read'], expires_at };
      const problem = expectProblem(
        await service.call('POST', '/teams/self/keys', { payload }),
        400,
        'invalid_request',
      );
      expect(problem.errors?.[0]?.pointer).toBe('/expires_at');
    }
    for (const scopes of [[], ['everything'], ['jobs:read', 'jobs:read']])
      expectProblem(
        await service.call('POST', '/teams/self/keys', { payload: { name: 'x', scopes } }),
        400,
        'invalid_request',
      );
  });

  test('note their last use, with one write a minute', async () => {
    const used = await makeKey('self', ['jobs:read']);
    const last = async () => (await service.call('GET', `/teams/self/keys/${used.id}`)).json<Key>().last_used_at;
    expect(await last()).toBeNull();
    await service.call('GET', '/jobs', { key: used.bearer });
    await expect.poll(last).not.toBeNull();
    const first = await last();
    for (let i = 0; i < 3; i++) await service.call('GET', '/jobs', { key: used.bearer });
    expect(await last()).toBe(first);
    await runSql(service.database.url, "update api_keys set last_used_at = now() - interval '61 s' where id = $1", [
      used.id,
    ]);
    const aged = await last();
    // A process remembers for a minute what it noted: another one knows only the row.
    const other = await startService(postgres, { beside: service });
    try {
      await other.call('GET', '/jobs', { key: used.bearer });
      await expect.poll(last).not.toBe(aged);
    } finally {
      await other.close();
    }
  });

  test("of a team are managed by its own admin, who has no power over others', nor over the service's", async () => {
    const team = await makeTeam('self-run');
    const { bearer: key } = await makeKey(team.id, ['team:admin']);
    const child = await makeKey('self', ['jobs:read', 'jobs:write', 'team:admin'], {}, key);
    expect((await service.call('GET', '/teams', { key })).json<{ data: Team[] }>().data.map(({ id }) => id)).toEqual([
      team.id,
    ]);
    expect((await service.call('GET', '/teams/self', { key })).json()).toMatchObject({ id: team.id, name: 'self-run' });
    expect((await service.call('DELETE', `/teams/${team.id}/keys/${child.id}`, { key })).statusCode).toBe(200);

    const payload = { name: 'x', scopes: ['admin'] };
    expectProblem(await service.call('POST', '/teams/self/keys', { key, payload }), 403, 'forbidden');
    const operator = await makeKey(team.id, ['admin']);
    expectProblem(await service.call('DELETE', `/teams/self/keys/${operator.id}`, { key }), 403, 'forbidden');
    expectProblem(await service.call('PATCH', '/teams/self', { key, payload: { weight: 9 } }), 403, 'forbidden');
    expectProblem(await service.call('POST', '/teams', { key, payload: { name: 'mine' } }), 403, 'forbidden');
    expectProblem(await service.call('GET', '/teams/team_default', { key }), 404, 'not_found');
    expectProblem(await service.call('GET', '/teams/team_default/keys', { key }), 404, 'not_found');
    expectProblem(await service.call('GET', '/jobs', { key }), 403, 'forbidden');
  });
});

describe('limits of a team', () => {
  test('on open jobs refuse the one too many, naming the setting', async () => {
    const team = await makeTeam('few jobs', { limits: { queued_jobs: 1 } });
    const { bearer: key } = await makeKey(team.id, ['jobs:read', 'jobs:write']);
    const file = async (content: string) => {
      const headers = { 'content-type': 'application/octet-stream' };
      return (await service.call('POST', '/uploads', { key, payload: content, headers })).json<{ id: string }>().id;
    };
    const payload = {
      model: { upload: await file('a model') },
      calibration: { upload: await file('samples') },
      target: { parameter_ratio: 4 },
    };
    const first = await service.call('POST', '/jobs', { key, payload });
    expect(first.statusCode).toBe(202);
    const problem = expectProblem(await service.call('POST', '/jobs', { key, payload }), 422, 'limit_exceeded');
    expect(problem.detail).toMatch(/^queued_jobs: the team has 1 jobs .* 1 are allowed$/);
    await service.call('POST', `/jobs/${first.json<{ id: string }>().id}/cancel`, { key });
  });

  test('on storage count artifacts: a team that has no room for more gets no new job, the ones it has end', async () => {
    const team = await makeTeam('many artifacts', { limits: { storage_bytes: 20 } });
    const { bearer: key } = await makeKey(team.id, ['jobs:read', 'jobs:write']);
    const headers = { 'content-type': 'application/octet-stream' };
    const send = (payload: string) => service.call('POST', '/uploads', { key, payload, headers });
    const payload = {
      model: { upload: (await send('m'.repeat(9))).json<{ id: string }>().id },
      calibration: { upload: (await send('c'.repeat(9))).json<{ id: string }>().id },
      target: { parameter_ratio: 4 },
    };
    const post = (more: object = {}) =>
      service.call('POST', '/jobs', { key, payload, headers: { 'idempotency-key': 'first', ...more } });
    const first = await post();
    expect(first.statusCode, first.body).toBe(202);
    const { id } = first.json<{ id: string }>();
    for (let step = 0; step < 4; step++) await finishNext(service.database, 0);
    const inUse = async () =>
      (await service.call('GET', `/teams/${team.id}`)).json<{ in_use: { storage_bytes: number } }>().in_use;
    // Six bytes of artifacts where two would fit: the job was accepted.
    expect((await service.call('GET', `/jobs/${id}`, { key })).json()).toMatchObject({ status: 'succeeded' });
    expect((await inUse()).storage_bytes).toBe(24);
    expectProblem(await send('n'), 422, 'limit_exceeded');
    await until('a new job is refused', async () => {
      const next = await post({ 'idempotency-key': `next ${Math.random()}` });
      if (next.statusCode === 202) {
        await service.call('POST', `/jobs/${next.json<{ id: string }>().id}/cancel`, { key });
        return false;
      }
      expect(expectProblem(next, 422, 'limit_exceeded').detail).toMatch(/^storage_bytes: .*artifacts/);
      return true;
    });
    // The answer of a job that was accepted comes again, and room that is made is seen at once.
    expect((await post()).headers['idempotent-replayed']).toBe('true');
    expect((await service.call('DELETE', `/jobs/${id}`, { key })).statusCode).toBe(204);
    expect((await inUse()).storage_bytes).toBe(18);
    const again = await post({ 'idempotency-key': 'again' });
    expect(again.statusCode, again.body).toBe(202);
    await service.call('POST', `/jobs/${again.json<{ id: string }>().id}/cancel`, { key });
  });

  test('on storage refuse what does not fit, keep nothing of it, and take again what is stored already', async () => {
    const team = await makeTeam('little room', { limits: { storage_bytes: 100 } });
    const { bearer: key } = await makeKey(team.id, ['jobs:read', 'jobs:write']);
    const headers = { 'content-type': 'application/octet-stream' };
    const send = (payload: string) => service.call('POST', '/uploads', { key, payload, headers });
    expect((await send('a'.repeat(60))).statusCode).toBe(201);
    const before = (await service.files()).filter((name) => name.startsWith('storage'));
    for (const size of [41, 90, 5000]) {
      const problem = expectProblem(await send('b'.repeat(size)), 422, 'limit_exceeded');
      expect(problem.detail).toContain('storage_bytes');
    }
    expect((await service.files()).filter((name) => name.startsWith('storage'))).toEqual(before);
    expect((await send('a'.repeat(60))).statusCode).toBe(201);
    expect((await send('c'.repeat(40))).statusCode).toBe(201);
    const two = await Promise.all([send('d'), send('e')]);
    expect(two.map(({ statusCode }) => statusCode)).toEqual([422, 422]);
    expect((await service.call('GET', `/teams/${team.id}`)).json()).toMatchObject({ in_use: { storage_bytes: 100 } });
  });

  test('on storage hold when uploads come at the same time', async () => {
    const team = await makeTeam('a race', { limits: { storage_bytes: 100 } });
    const { bearer: key } = await makeKey(team.id, ['jobs:write']);
    const headers = { 'content-type': 'application/octet-stream' };
    const sent = await Promise.all(
      ['a', 'b', 'c', 'd', 'e', 'f'].map((letter) =>
        service.call('POST', '/uploads', { key, payload: letter.repeat(40), headers }),
      ),
    );
    expect(sent.map(({ statusCode }) => statusCode).sort()).toEqual([201, 201, 422, 422, 422, 422]);
  });

  test('on running tasks are the reason in the queue', async () => {
    const id = await submit(service);
    await service.call('PATCH', '/teams/team_default', { payload: { limits: { running_tasks: 1 } } });
    const worker = { id: 'wrk_a', engine: 'onnxruntime', device: 'cpu', threads: 1, slots: 1 };
    await service.database.workers.upsert(worker);
    await service.database.pool.release();
    const second = await submit(service);
    const reason = async () =>
      (await service.call('GET', `/jobs/${second}`)).json<{ queue: { reason: string } }>().queue.reason;
    await expect.poll(reason, { timeout: 5000 }).toBe('team_limit');
    expect(await service.database.pool.release()).toEqual([]);
    await service.call('PATCH', '/teams/team_default', { payload: { limits: { running_tasks: null } } });
    expect(await service.database.pool.release()).toHaveLength(1);
    for (const job of [id, second]) await service.call('POST', `/jobs/${job}/cancel`);
  });

  test('on requests per minute answer 429 with Retry-After, for that key only; public calls are free', async () => {
    const team = await makeTeam('slow', { limits: { requests_per_minute: 3 } });
    const [one, two] = [await makeKey(team.id, ['jobs:read']), await makeKey(team.id, ['jobs:read'])];
    const get = (key: string) => service.call('GET', '/jobs', { key });
    const left = [];
    for (let i = 0; i < 3; i++) left.push((await get(one.bearer)).headers['ratelimit-remaining']);
    expect(left).toEqual(['2', '1', '0']);
    const refused = await get(one.bearer);
    expect(expectProblem(refused, 429, 'too_many_requests').detail).toContain('requests_per_minute');
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60);
    expect(refused.headers['ratelimit-limit']).toBe('3');
    expect((await get(two.bearer)).statusCode).toBe(200);
    expect((await service.call('GET', '/healthz', { key: null })).headers['ratelimit-limit']).toBeUndefined();
  });
});

test('uploads and jobs of a team count for it alone', async () => {
  await upload(service, 'some bytes that are new');
  const team = await makeTeam('empty');
  expect((await service.call('GET', `/teams/${team.id}`)).json()).toMatchObject({
    in_use: { running_tasks: 0, queued_jobs: 0, storage_bytes: 0 },
  });
});
