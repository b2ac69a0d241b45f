import { setTimeout as sleep } from 'node:timers/promises';
import cliProgress from 'cli-progress';
import type { JobView } from '../api/jobs/schema.js';
import type { LayerRow } from '../jobs/results.js';
import { ServiceError, type ServiceClient } from './client.js';

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
    display.stop();
  }
}

/** A bar for the job and one per layer that is being worked on. */
export function bars(): Display {
  const multi = new cliProgress.MultiBar(
    { format: ' {bar} {percentage}% {name} {note}', hideCursor: true, clearOnComplete: false, barsize: 24 },
    cliProgress.Presets.shades_classic,
  );
  const job = multi.create(100, 0, { name: 'job', note: '' });
  const layers = new Map<number, cliProgress.SingleBar>();
  return {
    show(view, rows) {
      const eta = view.progress.eta_seconds;
      const note = `${view.status} ${view.phase}${eta === null ? '' : `, about ${Math.ceil(eta)} s left`}`;
      job.update(Math.round(view.progress.fraction * 100), { name: 'job', note });
      for (const row of rows) {
        if (row.decision === 'dense' && row.seconds === null) continue;
        const bar = layers.get(row.index) ?? multi.create(1, 0, { name: row.name, note: '' });
        layers.set(row.index, bar);
        bar.update(row.status === 'done' ? 1 : row.status === 'running' ? 0.5 : 0, {
          name: row.name,
          note: row.relative_error === null ? row.status : `error ${row.relative_error.toFixed(4)}`,
        });
      }
    },
    stop: () => multi.stop(),
  };
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
      for (const row of rows) {
        if (row.status !== 'done' || row.seconds === null || done.has(row.index)) continue;
        done.add(row.index);
        const error = row.relative_error === null ? '' : `, error ${row.relative_error.toFixed(4)}`;
        print(`${view.id} layer ${row.name}: ${row.decision ?? 'done'}${error} (${row.seconds.toFixed(1)} s)`);
      }
    },
    stop: () => undefined,
  };
}

export const silent: Display = { show: () => undefined, stop: () => undefined };
