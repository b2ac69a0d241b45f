import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PAGE_SESSION } from '../../src/api/plugins/session.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { expectProblem, startService, submit, type TestService } from './support/service.js';

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

const HOST = 'sparank.example.test:8080';
const own = { host: HOST, origin: `http://${HOST}` };
const bare = (key: string) => key.replace('Bearer ', '');
const login = (key: string, headers: Record<string, string> = own) =>
  service.call('POST', '/session', { key: null, headers, payload: { key: bare(key) } });
async function cookieOf(key: string): Promise<string> {
  const entered = await login(key);
  expect(entered.statusCode, entered.body).toBe(201);
  return String(entered.headers['set-cookie']).split(';')[0] ?? '';
}

test('a key is traded for a cookie that no script and no other site can use, and that does not hold the key', async () => {
  const entered = await login(service.keys.reader);
  const cookie = String(entered.headers['set-cookie']);
  for (const part of ['HttpOnly', 'SameSite=Strict', 'Path=/;', `Max-Age=${PAGE_SESSION.seconds}`])
    expect(`${cookie};`).toContain(part);
  expect(cookie).not.toContain('Secure');
  expect(cookie).not.toContain(bare(service.keys.reader));
  expect(entered.json()).toMatchObject({ team: { id: 'team_default' }, key: { scopes: ['jobs:read'] } });
  expect(entered.headers['cache-control']).toBe('no-store');
  const behindTls = await login(service.keys.reader, { ...own, 'x-forwarded-proto': 'https' });
  expect(String(behindTls.headers['set-cookie'])).toContain('Secure');
});

test('the session says who calls, with a cookie and with a key', async () => {
  const cookie = await cookieOf(service.keys.all);
  const session = (await service.call('GET', '/session', { key: null, headers: { cookie } })).json<{
    expires_at: string;
    key: { scopes: string[] };
  }>();
  expect(session.key.scopes).toContain('admin');
  expect(Date.parse(session.expires_at)).toBeGreaterThan(Date.now());
  expect((await service.call('GET', '/session')).json()).toMatchObject({ expires_at: null });
  expectProblem(await service.call('GET', '/session', { key: null }), 401, 'unauthorized');
});

test('with the cookie the calls of the key are open, and no others', async () => {
  const id = await submit(service);
  const cookie = await cookieOf(service.keys.reader);
  const headers = { ...own, cookie };
  expect((await service.call('GET', `/jobs/${id}`, { key: null, headers })).statusCode).toBe(200);
  expectProblem(await service.call('POST', `/jobs/${id}/cancel`, { key: null, headers }), 403, 'forbidden');
  const stranger = await cookieOf(service.keys.stranger);
  expectProblem(
    await service.call('GET', `/jobs/${id}`, { key: null, headers: { ...own, cookie: stranger } }),
    404,
    'not_found',
  );
});

describe('a change that another page makes the browser send is refused', () => {
  const cases: [string, Record<string, string>, number][] = [
    ['own page, by Origin', own, 200],
    ['own page, by Sec-Fetch-Site', { host: HOST, 'sec-fetch-site': 'same-origin' }, 200],
    [
      'behind a proxy that calls it by another name',
      { host: 'inner:1', origin: 'https://outer', 'sec-fetch-site': 'same-origin' },
      200,
    ],
    ['another host', { host: HOST, origin: 'http://evil.example' }, 403],
    ['another port of the host', { host: HOST, origin: 'http://sparank.example.test:9999' }, 403],
    ['another site', { ...own, 'sec-fetch-site': 'cross-site' }, 403],
    ['a sibling host', { ...own, 'sec-fetch-site': 'same-site' }, 403],
    ['a page without an origin', { host: HOST, origin: 'null' }, 403],
    ['who does not say', { host: HOST }, 403],
  ];
  test.each(cases)('%s', async (_name, headers, status) => {
    const id = await submit(service);
    const cookie = await cookieOf(service.keys.all);
    const answer = await service.call('POST', `/jobs/${id}/cancel`, { key: null, headers: { ...headers, cookie } });
    expect(answer.statusCode, answer.body).toBe(status);
    // Reading is safe: nobody else gets to see the answer.
    const read = await service.call('GET', `/jobs/${id}`, { key: null, headers: { ...headers, cookie } });
    expect(read.statusCode).toBe(200);
  });

  test('a key in a header is no cookie: programs need no origin', async () => {
    const id = await submit(service);
    const headers = { cookie: await cookieOf(service.keys.all) };
    expect((await service.call('POST', `/jobs/${id}/cancel`, { headers })).statusCode).toBe(200);
  });

  test('another site cannot log its visitors in or out', async () => {
    const foreign = { host: HOST, origin: 'http://evil.example' };
    expectProblem(await login(service.keys.all, foreign), 403, 'forbidden');
    expectProblem(await service.call('DELETE', '/session', { key: null, headers: foreign }), 403, 'forbidden');
  });
});

test('a cookie that is forged, of the other login, or of a revoked key opens nothing', async () => {
  const cookie = await cookieOf(service.keys.all);
  const [name = '', keyId = '', until = '', mac = ''] = cookie.split(/[=.]/);
  for (const forged of [
    `${name}=${keyId}.${Number(until) + 60}.${mac}`,
    `${name}=${keyId}.${until}.${'A'.repeat(43)}`,
    `sparank_admin=${keyId}.${until}.${mac}`,
    `${name}=`,
  ])
    expect((await service.call('GET', '/session', { key: null, headers: { cookie: forged } })).statusCode, forged).toBe(
      401,
    );
  const board = await service.call('GET', '/admin/queues/api/queues', { key: null, headers: { cookie } });
  expect(board.statusCode).toBe(200);
  await service.database.keys.revoke('team_default', keyId);
  expect((await service.call('GET', '/session', { key: null, headers: { cookie } })).statusCode).toBe(401);
  await service.close();
  service = await startService(postgres);
});

test('logging out takes the cookie away', async () => {
  const out = await service.call('DELETE', '/session', { key: null, headers: own });
  expect(out.statusCode).toBe(204);
  expect(String(out.headers['set-cookie'])).toContain('Max-Age=0');
});

test('guessing keys at the login is limited as it is elsewhere', async () => {
  const limited = await startService(postgres, { settings: { INVALID_KEYS_PER_MINUTE: '3' } });
  const guess = (key: string) => limited.call('POST', '/session', { key: null, headers: own, payload: { key } });
  for (let i = 0; i < 3; i++) expectProblem(await guess(`spk_${i}`), 401, 'unauthorized');
  const refused = await guess('spk_last');
  expectProblem(refused, 429, 'too_many_requests');
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  expect((await guess(bare(limited.keys.reader))).statusCode).toBe(201);
  await limited.close();
});
