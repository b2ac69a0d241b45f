import { connect } from 'node:net';
import type { FuzzedRequest } from './request.js';

export interface Answer {
  status: number;
  headers: ReadonlyMap<string, string>;
  body: string;
}

/** `cut`: the connection ended without an answer; `late`: nothing came in time. */
export type Outcome = Answer | 'cut' | 'late';

const ANSWER_MS = 30_000;
/** In so many pieces the head of an answer has come: after `100 Continue` it is the second. */
const HEAD_CHUNKS = 2;
/**
 * One port for each connection, and those that were closed rest for a minute: where 127/8 is this machine, there are
 * enough.
 */
const ADDRESSES = process.platform === 'linux' ? 200 : 1;

/** The head, and the body as far as it has come. */
function parse(bytes: Buffer): Answer | null {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 0);
  const headers = new Map(
    lines.map((line) => {
      const at = line.indexOf(':');
      return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()] as const;
    }),
  );
  const rest = bytes.subarray(end + 4);
  if (status < 200 && status > 0) return parse(rest);
  const body = headers.get('transfer-encoding') === 'chunked' ? joined(rest) : rest.toString('utf8');
  return { status, headers, body };
}

/** A body in chunks, as far as it has come. */
function joined(bytes: Buffer): string {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.toString('latin1', at, end), 16);
    if (end < 0 || !(size > 0)) break;
    chunks.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
  return Buffer.concat(chunks).toString('utf8');
}

/**
 * Sends the bytes on a connection of their own and reads until the service closes it. A stream of events is read to its
 * head only. Who leaves is not waited for.
 */
export function send(port: number, { bytes, leaves }: FuzzedRequest, number: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const localAddress = `127.0.0.${String(1 + (number % ADDRESSES))}`;
    const socket = connect({ port, host: '127.0.0.1', localAddress });
    let over = false;
    const end = (outcome: Outcome) => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    const ended = () => end(parse(Buffer.concat(chunks)) ?? 'cut');
    const timer = setTimeout(() => end('late'), ANSWER_MS);
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      const answer = leaves || chunks.length <= HEAD_CHUNKS ? parse(Buffer.concat(chunks)) : null;
      if (answer !== null && (leaves || answer.headers.get('content-type')?.startsWith('text/event-stream') === true))
        end(answer);
    });
    socket.on('end', ended);
    // What had come before a reset counts.
    socket.on('error', ended);
    socket.on('close', ended);
    // Half-closed: the service knows that no more will come.
    if (leaves) socket.end(bytes);
    else socket.write(bytes);
  });
}
