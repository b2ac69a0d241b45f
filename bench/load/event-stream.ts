import { Agent, request } from 'node:http';
import { KEY } from '../support/service.js';

/** What every event has of these: the type or the row's id, and when it was. */
export interface Told {
  type?: string;
  id: string;
  created_at: string;
  updated_at?: string;
}

export interface Received extends Told {
  /** ms between the event's own time and its arrival here. */
  afterMs: number;
}

export interface EventStream {
  close(): void;
}

const agent = new Agent({ maxSockets: Infinity });

/** Follows a stream from now on; ends only when told to. */
export function followEvents(
  url: string,
  path: string,
  onEvent: (event: Received) => void,
  onEnd: (error: Error | null) => void,
): EventStream {
  let closed = false;
  const end = (error: Error | null) => {
    if (!closed) onEnd(error);
    closed = true;
  };
  const headers = { authorization: `Bearer ${KEY}`, accept: 'text/event-stream' };
  const call = request(url + path, { agent, headers }, (response) => {
    if (response.statusCode !== 200)
      return end(new Error(`the stream was answered with ${String(response.statusCode)}`));
    let text = '';
    response.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      for (let cut = text.indexOf('\n\n'); cut >= 0; cut = text.indexOf('\n\n')) {
        const data = /^data: ?(.*)$/m.exec(text.slice(0, cut))?.[1];
        text = text.slice(cut + 2);
        // A comment keeps the connection open.
        if (data === undefined) continue;
        const told = JSON.parse(data) as Told;
        onEvent({ ...told, afterMs: Date.now() - Date.parse(told.updated_at ?? told.created_at) });
      }
    });
    response.on('end', () => end(null)).on('error', end);
  });
  call.on('error', end).end();
  return {
    close() {
      closed = true;
      call.destroy();
    },
  };
}
