import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError } from '../config/index.js';
import type { Log } from '../observability/log.js';
import { claimStorage, type OwnerDeps } from '../maintenance/storage-owner.js';

/** A storage that says nothing for so long does not hold up the start: accepted jobs must not wait for it. */
const PATIENCE_MS = 5_000;
const AGAIN_MS = 2_000;

export interface Claim {
  /** Comes to the reason when the storage turns out to be another database's after the start. */
  failed: Promise<Error>;
  close(): Promise<void>;
}

/**
 * Claims the storage, and goes on trying in the background where it does not answer.
 * @throws {ConfigError} when it belongs to another database
 */
export async function claimWhenItAnswers(deps: OwnerDeps, logger: Log, patienceMs = PATIENCE_MS): Promise<Claim> {
  const closing = new AbortController();
  const untilClaimed = async () => {
    while (!closing.signal.aborted) {
      try {
        await claimStorage(deps);
        return;
      } catch (error) {
        if (error instanceof ConfigError) throw error;
        logger.warn({ err: error }, 'whose the storage is cannot be told yet');
      }
      await sleep(AGAIN_MS, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  };
  const claimed = untilClaimed();
  const failed = new Promise<Error>((resolve) => {
    claimed.catch(resolve);
  });
  const patience = new AbortController();
  const waited = sleep(patienceMs, undefined, { signal: patience.signal }).catch(() => undefined);
  await Promise.race([claimed, waited]).finally(() => patience.abort());
  return {
    failed,
    async close() {
      closing.abort();
      // A storage that does not answer is not waited for.
      await Promise.race([claimed.catch(() => undefined), sleep(AGAIN_MS, undefined, { ref: false })]);
    },
  };
}
