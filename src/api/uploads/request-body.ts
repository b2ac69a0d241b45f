import type { IncomingMessage } from 'node:http';
import { PassThrough, type Readable } from 'node:stream';
import { requestFault } from '../problem.js';

/** A client that is answered before it has sent everything may go on for so long; then the connection is cut. */
const LINGER_MS = 5_000;

/**
 * The body of a request, apart from its socket: whoever gives the body up destroys it, and the request must live on to
 * be answered. The rest is read and thrown away for a moment, because clients tend to read no answer before they have
 * sent all.
 */
export function requestBody(request: IncomingMessage): Readable {
  const body = new PassThrough();
  // The client may go away before anybody reads: whoever then does finds the stream broken, and the process goes on.
  body.on('error', () => undefined);
  const cutShort = () => {
    if (!request.complete) body.destroy(requestFault('#body', 'was cut short'));
  };
  request.once('error', cutShort);
  request.once('close', cutShort);
  // The client may be gone already, while its key was looked up: nothing more will be heard of it.
  if (request.destroyed) cutShort();
  body.once('close', () => {
    if (request.complete || request.destroyed) return;
    request.resume();
    const linger = setTimeout(() => request.destroy(), LINGER_MS);
    request.once('close', () => clearTimeout(linger));
    request.once('end', () => clearTimeout(linger));
  });
  request.pipe(body);
  return body;
}
