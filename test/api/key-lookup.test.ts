import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { newKey, visiblePrefix } from '../../src/api/new-key.js';
import { hashKey } from '../../src/api/plugins/auth.js';
import { DEFAULT_TEAM, type Scope } from '../../src/database/records.js';
import { until } from '../support/until.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { expectProblem, startService, type TestService } from './support/service.js';

const LIMIT = 5;
let postgres: TestPostgres;
let service: TestService;
let address = 1;

beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres, {
    settings: { INVALID_KEYS_PER_MINUTE: String(LIMIT), TRUST_PROXY: 'loopback' },
  });
});
afterEach(() => void vi.restoreAllMocks());
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

/** Every test calls from addresses of its own, as a proxy on this machine tells them. */
const newAddress = () => `192.0.2.${address++}`;
let made = 0;
const badKey = () => `Bearer spk_guess_${++made}`;
const callFrom = (from: string, key: string | null, headers: Record<string, string> = {}) =>
  service.call('GET', '/jobs', { key, headers: { 'x-forwarded-for': from, ...headers } });

async function exhaust(from: string): Promise<void> {
  for (let tries = 0; tries < LIMIT; tries++) expectProblem(await callFrom(from, badKey()), 401, 'unauthorized');
}
const spyOnLookups = () => ({
  alone: vi.spyOn(service.database.keys, 'findByHash'),
  together: vi.spyOn(service.database.keys, 'findTogether'),
});

test('an address that has sent too many bad keys is told when to come back, whatever it sends', async () => {
  const from = newAddress();
  await exhaust(from);
  for (const key of [badKey(), 'Basic dXNlcjpwYXNz', 'Bearer', `Bearer ${'x'.repeat(600)}`]) {
    const refused = await callFrom(from, key);
    expect(expectProblem(refused, 429, 'too_many_requests').detail).toContain('INVALID_KEYS_PER_MINUTE');
    const seconds = Number(refused.headers['retry-after']);
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(60);
  }
});

test('a revoked key is refused at once where it was revoked, and by another process when the database tells it', async () => {
  const other = await startService(postgres, { beside: service });
  const key = newKey();
  const { id, teamId } = await service.database.keys.create(DEFAULT_TEAM, {
    hash: hashKey(key),
    prefix: visiblePrefix(key),
    name: 'to be revoked',
    scopes: ['jobs:read', 'jobs:write'],
  });
  const bearer = `Bearer ${key}`;
  const ask = async (from: TestService) => (await from.call('GET', '/jobs', { key: bearer })).statusCode;
  // Both remember it.
  for (const from of [service, other, service, other]) expect(await ask(from)).toBe(200);
  expect((await service.call('DELETE', `/teams/${teamId}/keys/${id}`)).statusCode).toBe(200);
  expect(await ask(service)).toBe(401);
  await until('the other process refuses it', async () => (await ask(other)) === 401, 5);
  await other.close();
});

test('a key is refused from the moment that it expires', async () => {
  const key = newKey();
  const expiresAt = new Date(Date.now() + 3_000);
  const made = {
    hash: hashKey(key),
    prefix: visiblePrefix(key),
    name: 'short',
    scopes: ['jobs:read'] as Scope[],
    expiresAt,
  };
  await service.database.keys.create(DEFAULT_TEAM, made);
  const ask = async () => (await service.call('GET', '/jobs', { key: `Bearer ${key}` })).statusCode;
  let last = 200;
  for (let asked = Date.now(); last === 200; asked = Date.now()) {
    last = await ask();
    if (asked > expiresAt.getTime()) expect(last).toBe(401);
  }
  expect(Date.now()).toBeGreaterThanOrEqual(expiresAt.getTime());
});

test('headers that are no key count as bad ones; none at all does not', async () => {
  const from = newAddress();
  for (let tries = 0; tries < LIMIT; tries++)
    expectProblem(await callFrom(from, 'Basic dXNlcjpwYXNz'), 401, 'unauthorized');
  expectProblem(await callFrom(from, 'Bearer'), 429, 'too_many_requests');
  const other = newAddress();
  for (let tries = 0; tries < 2 * LIMIT; tries++) expectProblem(await callFrom(other, null), 401, 'unauthorized');
  expectProblem(await callFrom(other, badKey()), 401, 'unauthorized');
});

test('a flood of bad keys costs the database a query a tenth of a second, and good keys from there get in', async () => {
  const from = newAddress();
  await exhaust(from);
  const { alone, together } = spyOnLookups();
  const started = performance.now();
  const answers = await Promise.all(
    Array.from({ length: 400 }, (_, i) => callFrom(from, i % 100 === 50 ? service.keys.all : badKey())),
  );
  const tenths = Math.ceil((performance.now() - started) / 100);
  expect(answers.filter(({ statusCode }) => statusCode === 200)).toHaveLength(4);
  expect(answers.filter(({ statusCode }) => statusCode === 429)).toHaveLength(396);
  expect(alone).not.toHaveBeenCalled();
  expect(together.mock.calls.length).toBeLessThanOrEqual(tenths);
  const asked = together.mock.calls.flatMap(([{ hashes }]) => hashes);
  expect(asked).toHaveLength(397);
});

test('a revoked key is refused at once from such an address too', async () => {
  const from = newAddress();
  await exhaust(from);
  const { id, key } = (
    await service.call('POST', '/teams/self/keys', { payload: { name: 'short', scopes: ['jobs:read'] } })
  ).json<{ id: string; key: string }>();
  expect((await callFrom(from, `Bearer ${key}`)).statusCode).toBe(200);
  await service.call('DELETE', `/teams/self/keys/${id}`);
  expectProblem(await callFrom(from, `Bearer ${key}`), 429, 'too_many_requests');
});

test('other addresses are not slowed down, and the /64 of an IPv6 address is one', async () => {
  const from = '2001:db8:1:2::1';
  await exhaust(from);
  expectProblem(await callFrom('2001:db8:1:2:ffff::2', badKey()), 429, 'too_many_requests');
  expectProblem(await callFrom('2001:db8:1:3::1', badKey()), 401, 'unauthorized');
  const { alone, together } = spyOnLookups();
  expect((await callFrom(newAddress(), service.keys.all)).statusCode).toBe(200);
  expect([alone.mock.calls.length, together.mock.calls.length]).toEqual([1, 0]);
});

test('the last address that a trusted proxy saw counts, not what the client wrote before it', async () => {
  const from = newAddress();
  for (let tries = 0; tries < LIMIT; tries++)
    expectProblem(await callFrom(`10.9.9.${tries}, ${from}`, badKey()), 401, 'unauthorized');
  expectProblem(await callFrom(`10.9.9.99, ${from}`, badKey()), 429, 'too_many_requests');
  const garbage = await callFrom('x'.repeat(5000), badKey());
  expectProblem(garbage, 401, 'unauthorized');
});

test('without TRUST_PROXY the header is not looked at', async () => {
  const direct = await startService(postgres, { settings: { INVALID_KEYS_PER_MINUTE: '2' } });
  const call = (from: string) => direct.call('GET', '/jobs', { key: badKey(), headers: { 'x-forwarded-for': from } });
  const statuses = [await call('192.0.2.201'), await call('192.0.2.202'), await call('192.0.2.203')].map(
    (r) => r.statusCode,
  );
  expect(statuses).toEqual([401, 401, 429]);
  await direct.close();
});

test('keys at the login of the dashboard and forged cookies count as well', async () => {
  const login = (from: string, key: string) =>
    service.call('POST', '/admin/login', {
      key: null,
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-forwarded-for': from },
      payload: new URLSearchParams({ key }).toString(),
    });
  const from = newAddress();
  for (let tries = 0; tries < LIMIT; tries++) expect((await login(from, badKey())).statusCode).toBe(401);
  const refused = await login(from, badKey());
  expect([refused.statusCode, Number(refused.headers['retry-after']) > 0]).toEqual([429, true]);
  const entered = await login(from, service.keys.all.replace('Bearer ', ''));
  expect(entered.statusCode).toBe(303);

  const other = newAddress();
  const board = (cookie: string, accept = 'application/json') =>
    service.call('GET', '/admin/queues/api/queues', {
      key: null,
      headers: { cookie, accept, 'x-forwarded-for': other },
    });
  const until = Math.floor(Date.now() / 1000) + 60;
  const forged = (id: number) => `sparank_admin=key_${id}.${until}.${'A'.repeat(43)}`;
  for (let tries = 0; tries < LIMIT; tries++) expect((await board(forged(tries))).statusCode).toBe(401);
  const found = vi.spyOn(service.database.keys, 'findById');
  expect((await board(forged(9))).statusCode).toBe(429);
  expect((await board(forged(9), 'text/html')).statusCode).toBe(429);
  expect((await board(String(entered.headers['set-cookie']).split(';')[0] ?? '')).statusCode).toBe(200);
  expect(found).not.toHaveBeenCalled();
});
