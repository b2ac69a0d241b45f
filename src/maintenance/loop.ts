import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../observability/log.js';

export interface Loop {
  /** Takes the next turn now, or once more after the turn that is under way. */
  wake(): void;
  /** Waits for the turn that is under way. */
  close(): Promise<void>;
}

export interface Rest {
  /**
   * Of the time that the turn took: whoever wakes the loop waits so long after the turn before, and no turn is made in
   * between.
   */
  turns: number;
  /** ms; however long the turn took. */
  mostMs: number;
  /** After a turn that found nothing to do (`false`), instead: what wakes it may still have nothing to do. */
  idle?: Rest;
}

const NO_REST: Rest = { turns: 0, mostMs: 0 };

export interface LoopOptions {
  intervalMs: number;
  logger: Log;
  rest?: Rest;
}

/**
 * One turn at a time, again after `intervalMs` or when woken. A failed turn is logged and the next one comes as usual.
 */
export function startLoop(
  name: string,
  turn: () => Promise<unknown>,
  { intervalMs, logger, rest = NO_REST }: LoopOptions,
): Loop {
  let closed = false;
  let woken = false;
  let pause = new AbortController();
  const closing = new AbortController();

  const run = (async () => {
    while (!closed) {
      woken = false;
      const begun = performance.now();
      let { turns, mostMs } = rest;
      try {
        if ((await turn()) === false) ({ turns, mostMs } = rest.idle ?? rest);
      } catch (error) {
        logger.warn({ err: error }, `${name}: a turn failed`);
      }
      const restMs = Math.min(mostMs, turns * (performance.now() - begun));
      if (restMs > 0) await sleep(restMs, undefined, { signal: closing.signal }).catch(() => undefined);
      pause = new AbortController();
      if (!closed && !woken) await sleep(intervalMs, undefined, { signal: pause.signal }).catch(() => undefined);
    }
  })();

  return {
    wake() {
      woken = true;
      pause.abort();
    },
    async close() {
      closed = true;
      closing.abort();
      pause.abort();
      await run;
    },
  };
}
