/** Resolves after so long; rejects with the reason of the signal. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const reason = () => reject(signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
    if (signal?.aborted) {
      reason();
      return;
    }
    const stop = () => {
      clearTimeout(timer);
      reason();
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/** Somebody waits for news that somebody else has. News that come while nobody waits are kept. */
export class Bell {
  #rung = false;
  #wake: (() => void) | null = null;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Until it rings, or for so long. */
  async next(ms: number, signal?: AbortSignal): Promise<void> {
    if (!this.#rung) {
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      const both = signal === undefined ? woken.signal : AbortSignal.any([signal, woken.signal]);
      try {
        await pause(ms, both);
      } catch (error) {
        if (signal?.aborted) throw error;
      } finally {
        this.#wake = null;
      }
    }
    this.#rung = false;
  }
}
