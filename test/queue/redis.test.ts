import { afterAll, describe } from 'vitest';
import { hasRedis, startRedis, type TestRedis } from '../support/redis.js';
import { queueSuite } from './suite.js';

let redis: TestRedis | null = null;

describe.runIf(hasRedis())('on a real Redis', () => {
  queueSuite('the queue on Redis', async () => {
    const started = (redis = await startRedis());
    return { redisUrl: started.url, flush: () => started.flushAll() };
  });
  afterAll(() => redis?.stop());
});
