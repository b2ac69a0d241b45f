import type { Redis } from 'ioredis';
import { errorText } from '../observability/error-text.js';
import type { Log } from '../observability/log.js';

export interface RedisTrouble {
  /** Follows another connection to the same Redis. */
  watch(redis: Redis): void;
  /** Why it does not answer; null while it does. */
  readonly reason: Error | null;
}

/** Tells once that Redis is away, and why, and once that it is back: every connection says so again and again. */
export function redisTrouble(what: string, logger: Log): RedisTrouble {
  let reason: Error | null = null;
  return {
    watch(redis) {
      redis.on('error', (error: Error) => {
        if (reason === null) logger.warn({ err: error }, `${what} has no Redis: ${errorText(error)}`);
        reason = error;
      });
      redis.on('ready', () => {
        if (reason !== null) logger.info(`${what} has its Redis again`);
        reason = null;
      });
    },
    get reason() {
      return reason;
    },
  };
}
