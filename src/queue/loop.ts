import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../log.js';

export interface Loop {
  /** Takes the next turn now, or once more after the turn that is under way. */
  wake(): void;
  /** Waits for the turn that is under way. */
  close(): Promise<void>;
}

/** One turn at a time, again after `intervalMs` or when woken. A failed turn is logged and the next one comes as usual. */
export function startLoop(name: string, turn: () => Promise<unknown>, intervalMs: number, logger: Log): Loop {
  let closed = false;
  let woken = false;
  let pause = new AbortController();

  const run = (async () => {
    while (!closed) {
      woken = false;
      try {
        await turn();
      } catch (error) {
        logger.warn({ err: error }, `${name}: a turn failed`);
      }
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
      pause.abort();
      await run;
    },
  };
}
