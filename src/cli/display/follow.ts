import type { Sparank } from '../../client/node/index.js';
import type { JobView } from '../../api/jobs/schema.js';
import type { LayerRow } from '../../jobs/results.js';

export { hasEnded } from '../../client/index.js';

/** Progress within a step has no event. */
const LOOK_SECONDS = 1;
/** A service that is away for longer is an error. */
const PATIENCE_SECONDS = 60;

/** Shows how a job gets on. */
export interface Display {
  show(job: JobView, layers: LayerRow[]): void;
  stop(): void;
}

/** Follows a job to its end. A service that is away for a moment is waited for. */
export async function follow(client: Sparank, id: string, display: Display, signal?: AbortSignal): Promise<JobView> {
  // At once, and not when the call under way is answered: the terminal has to be whole again before the process may
  // end.
  const restore = () => display.stop();
  signal?.addEventListener('abort', restore);
  try {
    return await client.jobs.wait(id, {
      signal,
      lookSeconds: LOOK_SECONDS,
      patienceSeconds: PATIENCE_SECONDS,
      onProgress: async (job) => {
        const planned = job.progress.layers_total > 0;
        display.show(job, planned ? await client.jobs.layers(id, { signal, patienceSeconds: PATIENCE_SECONDS }) : []);
      },
    });
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
