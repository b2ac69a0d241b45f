import Fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Caller } from '../../src/api/plugins/auth.js';
import { registerRateLimit } from '../../src/api/plugins/rate-limit.js';
import { sendProblem } from '../../src/api/problem.js';
import { hasRedis, startRedis, type TestRedis } from '../support/redis.js';

describe.runIf(hasRedis())('requests per minute over several API processes', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  async function api() {
    const app = Fastify();
    app.setErrorHandler(sendProblem);
    app.decorateRequest('caller', null);
    const caller: Caller = { teamId: 'team_a', keyPrefix: '', keyId: 'key_a', scopes: [], requestsPerMinute: 4 };
    app.addHook('onRequest', async (request) => void (request.caller = caller));
    await registerRateLimit(app, { REDIS_URL: redis.url, REQUESTS_PER_MINUTE: 1000 });
    app.get('/', { config: { scope: 'jobs:read' } }, async () => 'ok');
    await app.ready();
    return app;
  }

  test('are counted together in Redis, and not at all while Redis is away', async () => {
    const [one, two] = [await api(), await api()];
    // The connections come up beside the first requests, which pass uncounted until then.
    await expect.poll(async () => (await one.inject('/')).headers['ratelimit-remaining']).toBe('3');
    await expect.poll(async () => Number((await two.inject('/')).headers['ratelimit-remaining'])).toBeLessThan(3);
    await expect.poll(async () => (await two.inject('/')).statusCode).toBe(429);
    expect((await one.inject('/')).statusCode).toBe(429);
    await redis.kill();
    await expect.poll(async () => (await one.inject('/')).statusCode).toBe(200);
    await one.close();
    await two.close();
  });
});
