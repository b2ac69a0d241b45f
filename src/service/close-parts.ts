import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../observability/log.js';

/** Beyond the grace: to hand tasks back, sign off and close connections. */
const AFTERWARDS_MS = 8_000;

/** Ends a part of the service; it may use `graceSeconds` to finish what it does. */
export type Closer = (graceSeconds: number) => Promise<void>;

/**
 * Ends the parts, the last first, within one deadline for all of them. One that does not answer (a database that is
 * gone takes its calls along) is left behind: the process ends, and leases and transactions put right what it held.
 */
export async function closeParts(
  parts: Closer[],
  graceSeconds: number,
  logger: Log,
  afterwardsMs = AFTERWARDS_MS,
): Promise<void> {
  const started = performance.now();
  const graceLeft = () => Math.max(0, graceSeconds - (performance.now() - started) / 1000);
  for (let part = parts.pop(); part; part = parts.pop()) {
    const late = new AbortController();
    const msLeft = Math.max(0, graceSeconds * 1000 + afterwardsMs - (performance.now() - started));
    const deadline = sleep(msLeft, 'late' as const, { signal: late.signal }).catch(() => 'ended' as const);
    const ended = part(graceLeft()).then(
      () => 'ended' as const,
      (error: unknown) => {
        logger.warn({ err: error }, 'a part did not stop cleanly');
        return 'ended' as const;
      },
    );
    if ((await Promise.race([ended, deadline])) === 'late') logger.error('a part did not stop in time');
    late.abort();
  }
}
