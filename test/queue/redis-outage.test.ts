import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import { bullmqQueue } from '../../src/queue/bullmq-queue.js';
import { startReconciler } from '../../src/maintenance/reconciler.js';
import { startRelay } from '../../src/maintenance/relay.js';
import { openQueue } from '../../src/queue/index.js';
import { redisBackend } from '../../src/queue/redis-backend.js';
import { Proxy } from '../../bench/siege/proxy.js';
import { createJob, stepResult } from '../support/jobs.js';
import { quietLog } from '../support/log.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { hasRedis, startRedis, type TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

describe.runIf(hasRedis())('a Redis that is away', () => {
  let postgres: TestPostgres;
  let redis: TestRedis;
  beforeAll(async () => {
    postgres = await startPostgres();
    redis = await startRedis();
  });
  afterAll(async () => {
    await redis.stop();
    await postgres.stop();
  });

  it('delays jobs until it is back, empty, and then they go on; asking it fails soon and clearly', async () => {
    const database = await postgres.open();
    const queue = openQueue({ REDIS_URL: redis.url }, database.url, quietLog);
    const consumer = await queue.consume(
      async ({ taskId, attempt }) => {
        const assignment = await database.pool.claim(taskId, attempt, 'wrk_a');
        if (assignment !== null)
          await database.pool.succeed(taskId, attempt, { result: stepResult(assignment, 1), files: [] });
      },
      { concurrency: 1 },
    );
    await redis.kill();
    const begin = Date.now();
    await expect(queue.check()).rejects.toMatchObject({ code: 'unavailable', message: 'the queue does not answer' });
    expect(Date.now() - begin).toBeLessThan(8000);

    const relay = startRelay({ database, queue, logger: quietLog });
    const reconciler = startReconciler({ database, queue, logger: quietLog, intervalMs: 200 });
    const { id } = await createJob(database);
    await expect(queue.add({ taskId: 'tsk_x', attempt: 1 })).rejects.toMatchObject({ code: 'unavailable' });
    expect((await database.jobs.get(DEFAULT_TEAM, id))?.status).toBe('queued');

    // Another process might reach it.
    await until('the relay is not able to do its work', () => relay.isAble?.() === false);

    await redis.restart();
    await until(
      'the job has succeeded',
      async () => (await database.jobs.get(DEFAULT_TEAM, id))?.status === 'succeeded',
      40,
    );
    expect(relay.isAble?.()).toBe(true);
    await Promise.all([relay.close(), reconciler.close()]);
    await consumer.close(1);
    await queue.close();
  });

  it('a connection that went silent is replaced, and the call on it succeeds', async () => {
    const proxy = await Proxy.open(Number(new URL(redis.url).port));
    const queue = bullmqQueue(redisBackend(`redis://127.0.0.1:${String(proxy.port)}`, quietLog, 200), quietLog);
    await queue.check();
    expect(proxy.silence()).toBeGreaterThan(0);
    await queue.check();
    await queue.close();
    await proxy.close();
  });
});
