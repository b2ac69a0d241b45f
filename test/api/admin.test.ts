import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BOARD_SESSION } from '../../src/api/plugins/session.js';
import { openQueue } from '../../src/queue/index.js';
import { quietLog } from '../support/log.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { hasRedis, startRedis } from '../support/redis.js';
import { expectProblem, startService, type TestService } from './support/service.js';

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

const page = { key: null, headers: { accept: 'text/html,application/xhtml+xml' } };
const bare = (key: string) => key.replace('Bearer ', '');
const login = (key: string, headers: Record<string, string> = {}) =>
  service.call('POST', '/admin/login', {
    key: null,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    payload: new URLSearchParams({ key }).toString(),
  });
const cookieOf = async () => String((await login(bare(service.keys.all))).headers['set-cookie']);
const withCookie = (cookie: string) => ({ key: null, headers: { cookie: cookie.split(';')[0] ?? '' } });

describe('the dashboard of the queue', () => {
  test('is closed without the scope admin: browsers are sent to the login, programs get a problem', async () => {
    const sent = await service.call('GET', '/admin/queues/', page);
    expect([sent.statusCode, sent.headers['location']]).toEqual([303, '/admin/login']);
    for (const url of ['/admin/queues/', '/admin/queues/api/queues', '/admin/queues/static/js/none.js']) {
      const refused = await service.call('GET', url, { key: null });
      expect([refused.statusCode, refused.json<{ code: string }>().code], url).toEqual([401, 'unauthorized']);
      const lacking = await service.call('GET', url, { key: service.keys.writer });
      expect([lacking.statusCode, lacking.json<{ code: string }>().code], url).toEqual([403, 'forbidden']);
    }
    const admitted = await service.call('GET', '/admin/queues/api/queues');
    expect(admitted.statusCode).toBe(200);
  });

  test('opens to a browser that has traded an admin key for a cookie, which scripts and other sites cannot use', async () => {
    const form = await service.call('GET', '/admin/login', page);
    expect(form.body).toContain('action="/admin/login"');
    const entered = await login(bare(service.keys.all));
    expect([entered.statusCode, entered.headers['location']]).toEqual([303, '/admin/queues/']);
    const cookie = String(entered.headers['set-cookie']);
    for (const part of ['HttpOnly', 'SameSite=Strict', 'Path=/admin', `Max-Age=${BOARD_SESSION.seconds}`]) {
      expect(cookie).toContain(part);
    }
    expect(cookie).not.toContain('Secure');
    expect(cookie).not.toContain(bare(service.keys.all));
    const behindTls = await login(bare(service.keys.all), { 'x-forwarded-proto': 'https' });
    expect(String(behindTls.headers['set-cookie'])).toContain('Secure');

    const board = await service.call('GET', '/admin/queues/', withCookie(cookie));
    expect([board.statusCode, board.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    expect(board.headers['content-security-policy']).toContain("script-src 'self';");
    const script = /src="(static\/js\/main[^"]+)"/.exec(board.body)?.[1] ?? '';
    const found = await service.call('GET', `/admin/queues/${script}`, withCookie(cookie));
    expect([found.statusCode, found.headers['content-type']]).toEqual([200, 'application/javascript; charset=utf-8']);
  });

  test('takes no key that is unknown or lacks the scope, and no cookie that is forged, over, or of a revoked key', async () => {
    expect((await login('nonsense')).statusCode).toBe(401);
    expect((await login(bare(service.keys.writer))).statusCode).toBe(403);
    expect((await login('x'.repeat(4000))).statusCode).toBe(413);
    const cookie = await cookieOf();
    const [name = '', keyId = '', until = '', mac = ''] = (cookie.split(';')[0] ?? '').split(/[=.]/);
    const reader = await service.database.keys.list('team_default', { limit: 10 });
    const other = reader.data.find(({ id }) => id !== keyId)?.id ?? '';
    for (const forged of [
      `${name}=${keyId}.${Number(until) + 60}.${mac}`,
      `${name}=${other}.${until}.${mac}`,
      `${name}=${keyId}.${until}.${'A'.repeat(43)}`,
      `${name}=${keyId}.${until}.`,
      `${name}=key_none.${until}.${mac}`,
    ]) {
      expect((await service.call('GET', '/admin/queues/api/queues', withCookie(forged))).statusCode, forged).toBe(401);
    }
    // The cookie is for the dashboard alone.
    expectProblem(await service.call('GET', '/jobs', withCookie(cookie)), 401, 'unauthorized');
    expect((await service.call('GET', '/admin/queues/api/queues', withCookie(cookie))).statusCode).toBe(200);
    await service.database.keys.revoke('team_default', keyId);
    expect((await service.call('GET', '/admin/queues/api/queues', withCookie(cookie))).statusCode).toBe(401);
    await service.close();
    service = await startService(postgres);
  });

  test('changes nothing, whoever asks', async () => {
    const queue = (await service.call('GET', '/admin/queues/api/queues')).json<{
      queues: { name: string; readOnlyMode: boolean }[];
    }>().queues[0];
    expect(queue).toMatchObject({ name: 'sparank-tasks', readOnlyMode: true });
    for (const path of ['api/queues/sparank-tasks/pause', 'api/queues/pause', 'api/queues/sparank-tasks/obliterate']) {
      const refused = await service.call('PUT', `/admin/queues/${path}`);
      expect([refused.statusCode, refused.json<{ code: string }>().code], path).toEqual([403, 'forbidden']);
    }
  });
});

const message = { taskId: 'tsk_shown', attempt: 1 };
async function shownBy(settings: { REDIS_URL?: string }): Promise<unknown> {
  const queue = openQueue(settings, await postgres.createDatabase(), quietLog);
  await queue.add(message);
  const [board] = queue.boards();
  if (board === undefined) throw new Error('no board');
  const [job] = await board.getJobs(['waiting']);
  const counts = await board.getJobCounts();
  await queue.close();
  return { waiting: counts.waiting, data: job?.toJSON().data, readOnly: board.readOnlyMode };
}

test('the dashboard shows the messages of the queue in PostgreSQL', async () => {
  expect(await shownBy({})).toEqual({ waiting: 1, data: message, readOnly: true });
});

describe.runIf(hasRedis())('with Redis', () => {
  test('the dashboard shows the messages of the queue in Redis', async () => {
    const redis = await startRedis();
    expect(await shownBy({ REDIS_URL: redis.url })).toEqual({ waiting: 1, data: message, readOnly: true });
    await redis.stop();
  });
});
