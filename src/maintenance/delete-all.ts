import type { Log } from '../observability/log.js';
import type { Metrics } from '../observability/metrics.js';
import type { Storage } from '../storage/storage.js';

/** Goes on past what cannot be deleted: the next sweep finds it again. Returns how many are gone. */
export async function deleteAll(
  {
    storage,
    logger,
    metrics,
  }: { storage: Pick<Storage, 'delete'>; logger: Log; metrics: Pick<Metrics, 'removalFailed'> },
  keys: string[],
): Promise<number> {
  let failed = 0;
  for (const key of keys) {
    try {
      await storage.delete(key);
    } catch (error) {
      failed++;
      logger.warn({ err: error, key }, 'a file could not be deleted');
    }
  }
  metrics.removalFailed('file', failed);
  return keys.length - failed;
}
