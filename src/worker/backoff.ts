import { setTimeout as sleep } from 'node:timers/promises';
import { classOf } from '../errors/classify.js';

const FIRST_MS = 100;
const LONGEST_MS = 5000;

/**
 * Only what everybody shares and does not answer is waited for. Anything else (a full disk, data that is refused, a
 * bug) is told at once.
 */
export const isOutage = (error: unknown) => classOf(error) === 'outage';

/**
 * What `work` comes to, or the signal's reason when that is earlier: `work` may never answer, and is left behind then.
 */
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
  /** After so long the error is final all the same. */
  limitMs: number;
  /** @defaultValue isOutage */
  retry?: (error: unknown) => boolean;
  onFailure: (error: unknown, waitMs: number) => void;
  /** What failed tries and the pauses after them took. */
  onWaited?: (ms: number) => void;
}

/** The waiting of one task: every wait has the limit, and all of them together are what its team does not pay for. */
export class Patience {
  private idleMs = 0;

  constructor(
    private readonly limitMs: number,
    private readonly onFailure: Backoff['onFailure'],
  ) {}

  get idleSeconds(): number {
    return this.idleMs / 1000;
  }

  /** The task begins: what was waited before is nobody's. */
  begin(): void {
    this.idleMs = 0;
  }

  until(signal: AbortSignal): Backoff {
    const { limitMs, onFailure } = this;
    return { signal, limitMs, onFailure, onWaited: (ms) => (this.idleMs += ms) };
  }
}

/** Tries until it works, for databases and stores that are away for a while; ends with the signal, or at the limit. */
export async function untilItWorks<T>(attempt: () => Promise<T>, backoff: Backoff): Promise<T> {
  const { signal, limitMs, retry = isOutage, onFailure, onWaited } = backoff;
  const begun = performance.now();
  for (let wait = FIRST_MS; ; wait = Math.min(wait * 2, LONGEST_MS)) {
    signal.throwIfAborted();
    const started = performance.now();
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (!retry(error) || performance.now() - begun >= limitMs) throw error;
      onFailure(error, wait);
    }
    await sleep(wait, undefined, { signal }).catch(() => undefined);
    onWaited?.(performance.now() - started);
  }
}
