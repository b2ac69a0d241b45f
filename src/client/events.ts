import { EventSourceParserStream } from 'eventsource-parser/stream';
import type { Transport } from './transport.js';
import type { JobEvent } from './types.js';
import { pause } from './waiting.js';

export interface EventOptions {
  /** The id of an event: only what happened after it. */
  after?: string;
  signal?: AbortSignal | undefined;
  patienceSeconds?: number;
}

/** The service says something at least every 15 seconds. */
const SILENCE_MS = 45_000;
const RECONNECT_MS = 500;
const NO_CONTENT = 204;

/** One connection's events. A line that has died is told from a quiet one by the heartbeats. */
async function* read(body: ReadableStream<Uint8Array>, cut: AbortController): AsyncGenerator<string> {
  let timer = setTimeout(() => cut.abort(), SILENCE_MS);
  const alive = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      clearTimeout(timer);
      timer = setTimeout(() => cut.abort(), SILENCE_MS);
      controller.enqueue(chunk);
    },
  });
  const text = new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>;
  const reader = body.pipeThrough(alive).pipeThrough(text).pipeThrough(new EventSourceParserStream()).getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value.data;
  } finally {
    clearTimeout(timer);
    await reader.cancel().catch(() => undefined);
  }
}

/**
 * What happens to a job, as it happens, until it has ended. Lost connections and restarts of the service are bridged;
 * no event comes twice and none is missed.
 */
export async function* events(transport: Transport, id: string, options: EventOptions = {}): AsyncGenerator<JobEvent> {
  const { signal, patienceSeconds } = options;
  for (let last = options.after ?? '0'; ;) {
    const cut = new AbortController();
    const response = await transport.send(`/jobs/${encodeURIComponent(id)}/events`, {
      headers: { accept: 'text/event-stream', 'last-event-id': last },
      signal: signal === undefined ? cut.signal : AbortSignal.any([signal, cut.signal]),
      patienceSeconds,
    });
    if (response.status === NO_CONTENT || response.body === null) return;
    try {
      for await (const data of read(response.body, cut)) {
        const event = JSON.parse(data) as JobEvent;
        last = event.id;
        yield event;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof SyntaxError) throw error;
    }
    await pause(RECONNECT_MS, signal);
  }
}
