import { events } from './events.js';
import { ServiceError } from './errors.js';
import type { Transport } from './transport.js';
import type { JobView } from './types.js';
import { Bell, pause } from './waiting.js';

export interface WaitOptions {
  /** Told of the job at first, and whenever it has changed. */
  onProgress?: (job: JobView) => void | Promise<void>;
  signal?: AbortSignal | undefined;
  /** Longest time between two looks: what moves within a step has no event; default: 5. */
  lookSeconds?: number;
  /** For how long a service that is away is waited for, each time; default: 300. */
  patienceSeconds?: number;
}

const LOOK_SECONDS = 5;
const PATIENCE_SECONDS = 300;
/** Layers of a small network end by the dozen. */
const SHORTEST_LOOK_MS = 250;
/** After the stream was refused: too many are open, or a proxy does not let it through. */
const STREAM_AGAIN_MS = 30_000;

export const hasEnded = ({ status }: Pick<JobView, 'status'>) => ['succeeded', 'failed', 'canceled'].includes(status);

class LiveBell extends Bell {
  /** Whether there is a stream that rings it. */
  live = false;
}

/** Rings at every event of the job. Without a stream it rings never, and the looks are all there is. */
async function listen(transport: Transport, id: string, bell: LiveBell, signal: AbortSignal): Promise<void> {
  let after = '0';
  while (!signal.aborted) {
    try {
      for await (const event of events(transport, id, { after, signal, patienceSeconds: 0 })) {
        after = event.id;
        bell.live = true;
        bell.ring();
      }
      bell.ring();
      return;
    } catch (error) {
      bell.live = false;
      if (signal.aborted) return;
      // The looks meet the same, and tell of it.
      if (error instanceof ServiceError && [401, 403, 404].includes(error.status)) return;
      const busy = error instanceof ServiceError ? STREAM_AGAIN_MS : SHORTEST_LOOK_MS * 4;
      await pause(busy, signal).catch(() => undefined);
    }
  }
}

/** The job as it ended. Events tell when to look; without a stream it is looked at by the clock. */
export async function wait(transport: Transport, id: string, options: WaitOptions = {}): Promise<JobView> {
  const { onProgress, signal, lookSeconds = LOOK_SECONDS, patienceSeconds = PATIENCE_SECONDS } = options;
  const over = new AbortController();
  const bell = new LiveBell();
  const listening = listen(
    transport,
    id,
    bell,
    signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]),
  );
  try {
    for (let etag = ''; ;) {
      const response = await transport.send(`/jobs/${encodeURIComponent(id)}`, {
        // Without a stream the service holds the answer back until the status is another.
        headers: {
          ...(etag === '' ? {} : { 'if-none-match': etag }),
          ...(etag === '' || bell.live ? {} : { prefer: `wait=${Math.ceil(lookSeconds)}` }),
        },
        signal,
        patienceSeconds,
      });
      if (response.status !== 304) {
        const job = await transport.read<JobView>(response);
        etag = response.headers.get('etag') ?? '';
        await onProgress?.(job);
        if (hasEnded(job)) return job;
      }
      await pause(SHORTEST_LOOK_MS, signal);
      if (bell.live) await bell.next(lookSeconds * 1000, signal);
    }
  } finally {
    over.abort();
    await listening;
  }
}
