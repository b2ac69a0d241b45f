import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { PROBLEM_TYPE, problemBody, requestFault } from './problem.js';

interface Meaning {
  status: number;
  pointer: string;
  detail: string;
}

/** What Node's parser found, where more can be said than that it is no HTTP. */
const MEANINGS: Record<string, Meaning> = {
  HPE_HEADER_OVERFLOW: { status: 431, pointer: '#header', detail: 'has more than 16 KiB' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { status: 413, pointer: '#body', detail: 'has chunk extensions of more than 16 KiB' },
  HPE_INVALID_EOF_STATE: { status: 400, pointer: '#request', detail: 'was cut short' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, pointer: '#request', detail: 'did not come to its end in time' },
};

function meaningOf(code: string): Meaning {
  const known = MEANINGS[code];
  if (known !== undefined) return known;
  const pointer = /HEADER|CONTENT_LENGTH|TRANSFER_ENCODING/.test(code) ? '#header' : '#request';
  const reason = code.replace(/^HPE_/, '').toLowerCase().replaceAll('_', ' ');
  return { status: 400, pointer, detail: `is not valid HTTP/1.1 (${reason})` };
}

/** An answer of which a part is sent already is not to be followed by another. */
function hasBegun(socket: Socket): boolean {
  const { _httpMessage: answer } = socket as Socket & { _httpMessage?: { headersSent?: boolean } | null };
  return answer?.headersSent === true;
}

/**
 * Answers what cannot be read as HTTP: there is no request and no route yet, and the answer is a problem all the same.
 */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable || hasBegun(socket)) {
    socket.destroy(error);
    return;
  }
  const { status, pointer, detail } = meaningOf(error.code ?? '');
  const problem = problemBody(requestFault(pointer, detail), { status, instance: '/', requestId: randomUUID() });
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ''}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${String(Buffer.byteLength(body))}`,
    `X-Request-Id: ${problem.request_id}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
