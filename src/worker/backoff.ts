import { setTimeout as sleep } from 'node:timers/promises';
import { SparankError } from '../errors/index.js';

const FIRST_MS = 100;
const LONGEST_MS = 5000;

/** Only what everybody shares and does not answer is waited for. Anything else (a full disk, data that is refused, a bug) is told at once. */
export const isOutage = (error: unknown) => error instanceof SparankError && error.retryable;

/** What `work` comes to, or the signal's reason when that is earlier: `work` may never answer, and is left behind then. */
export async function answerOrAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort: (() => void) | null = null;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    if (onAbort !== null) signal.removeEventListener('abort', onAbort);
    aborted.catch(() => undefined);
    work.catch(() => undefined);
  }
}

export interface Backoff {
  signal: AbortSignal;
  retry: (error: unknown) => boolean;
  onFailure: (error: unknown, waitMs: number) => void;
}

/** Tries until it works, for databases and stores that are away for a while; ends with the signal. */
export async function untilItWorks<T>(attempt: () => Promise<T>, { signal, retry, onFailure }: Backoff): Promise<T> {
  for (let wait = FIRST_MS; ; wait = Math.min(wait * 2, LONGEST_MS)) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (!retry(error)) throw error;
      onFailure(error, wait);
    }
    await sleep(wait, undefined, { signal }).catch(() => undefined);
  }
}
