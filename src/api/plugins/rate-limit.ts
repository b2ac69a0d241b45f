import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance } from 'fastify';
import { Redis } from 'ioredis';
import type { Config } from '../../config/index.js';
import { InputError } from '../../errors/index.js';
import { redisTrouble } from '../../queue/redis-trouble.js';

const WINDOW_MS = 60_000;
/** A limiter that does not answer lets everything pass; nobody waits for it longer than this. */
const ANSWER_MS = 250;
/** ms without a byte after a command: the connection is lost, and a new one is made. */
const SILENCE_MS = 2000;
const NAMESPACE = 'sparank-requests-';

function connect(app: FastifyInstance, url: string): Redis {
  const redis = new Redis(url, {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    connectTimeout: 5000,
    commandTimeout: ANSWER_MS,
    socketTimeout: SILENCE_MS,
  });
  redisTrouble('the rate limiter', app.log).watch(redis);
  app.addHook('onClose', async () => redis.disconnect());
  return redis;
}

/**
 * Calls per minute and key, counted over all API processes when there is a Redis, else by each process for itself.
 * Runs after the key is known; public routes are free.
 */
export async function registerRateLimit(
  app: FastifyInstance,
  { REDIS_URL, REQUESTS_PER_MINUTE }: Pick<Config, 'REDIS_URL' | 'REQUESTS_PER_MINUTE'>,
): Promise<void> {
  await app.register(rateLimit, {
    global: true,
    hook: 'onRequest',
    enableDraftSpec: true,
    skipOnError: true,
    timeWindow: WINDOW_MS,
    ...(REDIS_URL === undefined ? {} : { redis: connect(app, REDIS_URL), nameSpace: NAMESPACE }),
    keyGenerator: (request) => request.caller?.keyId ?? '',
    allowList: (request) => request.caller === null,
    max: (request) => request.caller?.requestsPerMinute ?? REQUESTS_PER_MINUTE,
    errorResponseBuilder: (_request, { max, ttl }) =>
      new InputError(
        'too_many_requests',
        `requests_per_minute: the key has made its ${max} calls of this minute; try again in ${Math.ceil(ttl / 1000)} seconds`,
      ),
  });
}
