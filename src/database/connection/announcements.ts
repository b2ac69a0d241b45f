import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../../observability/log.js';
import type { Run } from './context.js';

/**
 * A statement for each end of a task would cost a tenth of the task; whoever listens looks no more often than this
 * either.
 */
const REST_MS = 25;

/**
 * Notifies of what was committed quietly. PostgreSQL lets transactions that notify commit one after the other; these
 * have nothing to keep, so they do not wait for the disk. The first goes at once; what comes while it is under way, or
 * shortly after, goes together. Should the process end before, the relay looks by itself within a second.
 */
export function announcements(run: Run, logger: Log): (...topics: string[]) => void {
  const pending = new Set<string>();
  let sending = false;

  async function send(): Promise<void> {
    sending = true;
    while (pending.size > 0) {
      const topics = [...pending];
      pending.clear();
      try {
        await run(
          'announce',
          `select pg_notify('sparank', topic) from unnest($1::text[]) as topic, set_config('synchronous_commit', 'off', true)`,
          [topics],
        );
      } catch (error) {
        logger.debug({ err: error }, 'an end of a task was not announced');
      }
      await delay(REST_MS, undefined, { ref: false });
    }
    sending = false;
  }

  return (...topics) => {
    for (const topic of topics) pending.add(topic);
    if (!sending) void send();
  };
}
