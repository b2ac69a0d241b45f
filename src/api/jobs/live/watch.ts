import type { FastifyReply } from 'fastify';
import type { Notifications } from '../../../database/repositories.js';

/** Aborts when the client is gone (or has its answer). */
export function clientGone(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => controller.abort());
  return controller.signal;
}

/** Who asks for the headers of a stream waits for no event, and the connection ends if that was wanted. */
export const answerHead = (reply: FastifyReply): FastifyReply => reply.type('text/event-stream').send('');

export interface Watch {
  /**
   * Resolves at the next notification, also one that came since the last call; after `ms`; or when the signal aborts.
   */
  next(ms: number): Promise<void>;
  stop(): void;
}

/** Subscribes at once: what happens after this call is never missed. */
export function watch(notifications: Notifications, topic: string, signal: AbortSignal): Watch {
  let pending = false;
  let wake: (() => void) | null = null;
  const notify = () => {
    pending = true;
    wake?.();
  };
  const unsubscribe = notifications.subscribe(topic, notify);
  const stop = () => {
    unsubscribe();
    signal.removeEventListener('abort', stop);
    wake?.();
  };
  if (signal.aborted) unsubscribe();
  else signal.addEventListener('abort', stop, { once: true });
  return {
    stop,
    async next(ms) {
      if (!pending && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        wake = null;
      }
      pending = false;
    },
  };
}
