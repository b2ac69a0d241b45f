import { setTimeout as sleep } from 'node:timers/promises';
import type { JobView } from '../../api/jobs/schema.js';
import type { LayerRow } from '../../jobs/results.js';
import { ServiceError, type ServiceClient } from '../client.js';

/** How long the service holds a call back for news; progress within a phase comes only after it. */
const WAIT_SECONDS = 1;
/** Between two looks while layers are shown. */
const LOOK_MS = 300;
/** A service that is away for longer is an error. */
const PATIENCE_MS = 60_000;

export const hasEnded = (job: JobView) => ['succeeded', 'failed', 'canceled'].includes(job.status);

/** Shows how a job gets on. */
export interface Display {
  show(job: JobView, layers: LayerRow[]): void;
  stop(): void;
}

/** Follows a job to its end. A service that is away for a moment is waited for. */
export async function follow(
  client: ServiceClient,
  id: string,
  display: Display,
  signal?: AbortSignal,
): Promise<JobView> {
  let etag: string | undefined;
  let lastAnswer = Date.now();
  // At once, and not when the call under way is answered: the terminal has to be whole again before the process may end.
  const restore = () => display.stop();
  signal?.addEventListener('abort', restore);
  try {
    for (;;) {
      signal?.throwIfAborted();
      try {
        const changed = await client.job(id, { waitSeconds: WAIT_SECONDS, ...(etag === undefined ? {} : { etag }) });
        lastAnswer = Date.now();
        if (changed) {
          etag = changed.etag;
          display.show(changed.job, changed.job.progress.layers_total > 0 ? await client.layers(id) : []);
          if (hasEnded(changed.job)) return changed.job;
        }
      } catch (error) {
        const final = error instanceof ServiceError && error.status < 500 && error.status !== 429;
        if (final || Date.now() - lastAnswer > PATIENCE_MS) throw error;
      }
      await sleep(LOOK_MS, undefined, signal ? { signal } : {});
    }
  } finally {
    signal?.removeEventListener('abort', restore);
    display.stop();
  }
}

/** Layers that were solved since the last call. */
export function newlyDone(rows: LayerRow[], done: Set<number>): LayerRow[] {
  const fresh = rows.filter(({ status, seconds, index }) => status === 'done' && seconds !== null && !done.has(index));
  for (const { index } of fresh) done.add(index);
  return fresh;
}

export function outcomeOf({ decision, relative_error, seconds }: LayerRow): string {
  const error = relative_error === null ? '' : `, error ${relative_error.toFixed(4)}`;
  return `${decision ?? 'done'}${error} (${(seconds ?? 0).toFixed(1)} s)`;
}

/** A line for every step and every layer done: for logs. */
export function lines(print: (line: string) => void): Display {
  const done = new Set<number>();
  let state = '';
  return {
    show(view, rows) {
      const now = `${view.status} ${view.phase}`;
      if (now !== state) print(`${view.id} ${now}`);
      state = now;
      for (const row of newlyDone(rows, done)) print(`${view.id} layer ${row.name}: ${outcomeOf(row)}`);
    },
    stop: () => undefined,
  };
}

export const silent: Display = { show: () => undefined, stop: () => undefined };
