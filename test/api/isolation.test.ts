import { randomUUID } from 'node:crypto';
import type { LightMyRequestResponse } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashKey } from '../../src/api/plugins/auth.js';
import { DEFAULT_TEAM, SCOPES, type Scope } from '../../src/database/records.js';
import { createJob, finishNext, stepFile, testSpec } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { expectProblem, sha256, startService, upload, type TestService } from './support/service.js';

/** Every call of the OpenAPI document, with the resources of one team, by those who must not get at them. */

let postgres: TestPostgres;
let service: TestService;
let calls: Call[];
/** What belongs to the team: values of path parameters, by the path up to them. */
let own: Record<string, string>;
/** Words that nobody else may read. */
let secrets: string[];

interface Call {
  name: string;
  method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE' | 'HEAD';
  path: string;
  scopes: Scope[];
}
type Document = Record<string, Record<string, { 'x-scopes'?: Scope[]; security?: unknown[] }>>;

/** Bodies that get a call as far as looking for what it is about. */
const BODIES: Record<string, () => object> = {
  'POST /jobs': () => ({
    model: { upload: own['/uploads/'] },
    calibration: { upload: own['/uploads/'] },
    target: { parameter_ratio: 4 },
  }),
  'POST /teams': () => ({ name: `made ${randomUUID()}` }),
  'PATCH /teams/{id}': () => ({ weight: 2 }),
  'POST /teams/{id}/keys': () => ({ name: 'made', scopes: ['jobs:read'] }),
  'POST /webhooks/enable-endpoint': () => ({ url: 'https://hooks.example.com/mine' }),
};

async function addKey(teamId: string, scopes: Scope[], expiresAt: Date | null = null) {
  const key = `spk_test_${randomUUID()}`;
  const { id } = await service.database.keys.create(teamId, {
    hash: hashKey(key),
    prefix: 'spk_test',
    name: 'test',
    scopes,
    expiresAt,
  });
  return { id, bearer: `Bearer ${key}` };
}

/** @throws when a path has a parameter that `own` does not know: a new call belongs into this test */
function url(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string, at: number) => {
    const value = own[path.slice(0, at)];
    if (value === undefined) throw new Error(`what is {${name}} in ${path}?`);
    return value;
  });
}

const send = ({ name, method, path }: Call, key: string | null) => {
  const payload = name === 'POST /uploads' ? 'some bytes' : BODIES[name]?.();
  const headers = name === 'POST /uploads' ? { 'content-type': 'application/octet-stream' } : {};
  return service.call(method, url(path), { key, headers, ...(payload === undefined ? {} : { payload }) });
};
/** A HEAD has no body to look at. */
function expectRefusal({ name, method }: Call, response: LightMyRequestResponse, status: number, code: string): void {
  if (method === 'HEAD') expect([name, response.statusCode, response.body]).toEqual([name, status, '']);
  else expectProblem(response, status, code);
}
const closed = () => calls.filter(({ scopes }) => scopes.length > 0);

beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres, { settings: { INVALID_KEYS_PER_MINUTE: '1000' } });
  const { database } = service;
  const made = await upload(service, 'a secret model');
  const job = await createJob(database, { labels: { name: 'secret-label' } });
  for (let step = 0; step < 3; step++) await finishNext(database, 0);
  const last = await finishNext(database, 0);
  expect(last.kind).toBe('evaluate');
  const told = await createJob(database, {
    spec: { ...testSpec(), webhook: { url: 'https://hooks.example.com/mine' } },
  });
  await database.jobs.requestCancel(DEFAULT_TEAM, told.id);
  const delivery = (await database.webhooks.list(DEFAULT_TEAM, { limit: 1 }))?.data[0]?.id ?? '';
  const key = await addKey(DEFAULT_TEAM, ['jobs:read']);
  own = {
    '/uploads/': made,
    '/jobs/': job.id,
    '/jobs/{id}/artifacts/': stepFile('model.onnx').name,
    '/teams/': DEFAULT_TEAM,
    '/teams/{id}/keys/': key.id,
    '/webhooks/deliveries/': delivery,
    '/admin/jobs/': job.id,
    '/admin/workers/': 'wrk_own',
  };
  secrets = [made, job.id, told.id, key.id, delivery, 'secret-label', sha256('a secret model')];
  expect(secrets.every((word) => word !== '')).toBe(true);
  const { paths } = (await service.call('GET', '/openapi.json', { key: null })).json<{ paths: Document }>();
  calls = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      method: method.toUpperCase() as Call['method'],
      path,
      scopes: operation['x-scopes'] ?? [],
    })),
  );
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

test('the document has every call, and only these need no key', () => {
  expect(closed().length).toBeGreaterThan(25);
  const open = calls.filter(({ scopes }) => scopes.length === 0).map(({ name }) => name);
  // A session is made of a key in the body, and its end asks for nothing.
  const sessions = ['DELETE /session', 'POST /session'];
  expect(open.sort()).toEqual(['GET /healthz', 'GET /metrics', 'GET /openapi.json', 'GET /readyz', ...sessions].sort());
  // Keys that may only read change nothing.
  for (const { name, method, scopes } of closed())
    if (method !== 'GET' && method !== 'HEAD') expect([name, scopes.includes('jobs:read')]).toEqual([name, false]);
});

describe('every call is refused', () => {
  test('without a key, with one that is unknown, revoked or has expired', async () => {
    const revoked = await addKey(DEFAULT_TEAM, [...SCOPES]);
    expect((await service.call('GET', '/jobs', { key: revoked.bearer })).statusCode).toBe(200);
    await service.database.keys.revoke(DEFAULT_TEAM, revoked.id);
    const expired = await addKey(DEFAULT_TEAM, [...SCOPES], new Date(Date.now() - 1));
    for (const key of [null, `Bearer spk_${'x'.repeat(43)}`, revoked.bearer, expired.bearer]) {
      for (const call of closed()) expectRefusal(call, await send(call, key), 401, 'unauthorized');
    }
  });

  test('with a key of the same team that has all scopes but those of the call', async () => {
    for (const call of closed()) {
      const { bearer } = await addKey(
        DEFAULT_TEAM,
        SCOPES.filter((scope) => !call.scopes.includes(scope)),
      );
      expectRefusal(call, await send(call, bearer), 403, 'forbidden');
    }
  });
});

test('another team, with every role it can have, finds nothing of it: not by its id, not in a list', async () => {
  const { bearer } = await addKey('team_other', ['jobs:read', 'jobs:write', 'team:admin']);
  for (const call of closed()) {
    const response = await send(call, bearer);
    const { name, path, scopes } = call;
    for (const word of secrets) {
      // What the caller sent comes back in `instance` and in the detail of a problem.
      if (!url(path).includes(word) && name !== 'POST /jobs')
        expect([name, response.body.includes(word)]).toEqual([name, false]);
    }
    if (!scopes.some((scope) => scope !== 'admin')) expectRefusal(call, response, 403, 'forbidden');
    else if (name === 'POST /jobs') expectProblem(response, 422, 'invalid_spec');
    else if (path.includes('{')) expectRefusal(call, response, 404, 'not_found');
    else expect([name, response.statusCode < 500]).toEqual([name, true]);
  }
});

test.each([
  ['/jobs?after={job}', 400],
  ['/jobs?label.name=secret-label', 200],
  ['/webhooks/deliveries?job_id={job}', 200],
  ['/usage?team=team_default', 404],
  ['/usage?team=all', 403],
  ['/usage?by=day,job,label&label=name', 200],
  ['/usage?by=job&format=csv', 200],
])('nor by the query %s', async (query, status) => {
  const { bearer } = await addKey('team_other', ['jobs:read', 'jobs:write', 'team:admin']);
  const response = await service.call('GET', query.replace('{job}', own['/jobs/'] ?? ''), { key: bearer });
  expect(response.statusCode, response.body).toBe(status);
  for (const word of secrets) expect(response.body).not.toContain(word);
});

test('nor in the pool: a team sees its own part and the sums, an admin every team', async () => {
  interface Pool {
    queue: { jobs: object; tasks: object };
    own: unknown[];
    teams: { team_id: string }[];
  }
  const waiting = await createJob(service.database, {});
  const pool = async (key: string) => (await service.call('GET', '/pool', { key })).json<Pool>();
  const seen = await Promise.all(
    [['jobs:read'], ['jobs:read', 'jobs:write', 'team:admin']].map(async (scopes) =>
      pool((await addKey('team_other', scopes as Scope[])).bearer),
    ),
  );
  for (const { teams, own } of seen) {
    expect(teams).toEqual([
      { team_id: 'team_other', weight: 1, share: 0, running_tasks: 0, waiting_tasks: 0, queued_jobs: 0 },
    ]);
    expect(own).toEqual([]);
  }
  const all = await pool(service.keys.all);
  expect(all.teams).toMatchObject([{ team_id: DEFAULT_TEAM, queued_jobs: 1 }, { team_id: 'team_other' }]);
  expect(seen[0]?.queue).toEqual(all.queue);
  await service.database.jobs.requestCancel(DEFAULT_TEAM, waiting.id);
});

test('and all of it is as it was', async () => {
  const { database } = service;
  expect(await database.jobs.get(DEFAULT_TEAM, own['/jobs/'] ?? '')).toMatchObject({ status: 'succeeded' });
  expect(await database.artifacts.list(DEFAULT_TEAM, own['/jobs/'] ?? '')).toHaveLength(2);
  expect(await database.uploads.get(DEFAULT_TEAM, own['/uploads/'] ?? '')).not.toBeNull();
  expect(await database.keys.get(DEFAULT_TEAM, own['/teams/{id}/keys/'] ?? '')).toMatchObject({ revokedAt: null });
  expect(await database.teams.get(DEFAULT_TEAM)).toMatchObject({ name: 'default', weight: 1 });
});
