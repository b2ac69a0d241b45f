import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openQueue } from '../../src/queue/index.js';
import { quietLog } from '../support/log.js';
import { hasRedis, startRedis, type TestRedis } from '../support/redis.js';

describe.runIf(hasRedis())('advice about Redis', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  it('is given for a policy that evicts, and for none other', async () => {
    const queue = openQueue({ REDIS_URL: redis.url }, '', quietLog);
    const client = new Redis(redis.url);
    expect(await queue.advice()).toEqual([]);
    await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    expect(await queue.advice()).toEqual([expect.stringContaining('maxmemory-policy allkeys-lru')]);
    client.disconnect();
    await queue.close();
  });

  it('a Redis that is away is named by the address that refused, also by a call that was only tried again', async () => {
    const other = await startRedis();
    const queue = openQueue({ REDIS_URL: other.url }, '', quietLog);
    await queue.check();
    await other.kill();
    const error: unknown = await queue.check().catch((cause: unknown) => cause);
    expect(error).toMatchObject({ message: 'the queue does not answer' });
    expect((error as Error).cause).toMatchObject({ message: expect.stringContaining('ECONNREFUSED') as string });
    await queue.close();
    await other.stop();
  });
});
