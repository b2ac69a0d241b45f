import { Socket } from 'node:net';
import pg from 'pg';

/** ms. A server that answers nothing to what was sent for so long is not there: as long as the longest transaction. */
const SILENCE_MS = 20_000;
const LOOKS = 4;

/**
 * A socket that ends when nothing at all comes back for what was sent on it. A connection whose other end went without a word
 * (a cable, a firewall that forgot it) otherwise stays, with the query that waits on it and its place in the pool.
 */
function watchedSocket(silenceMs: number): Socket {
  const socket = new Socket();
  let read = 0;
  let written = 0;
  let unansweredSince: number | null = null;
  const timer = setInterval(() => {
    if (socket.bytesRead !== read) {
      read = socket.bytesRead;
      written = socket.bytesWritten;
      unansweredSince = null;
    } else if (socket.bytesWritten > written) {
      unansweredSince ??= performance.now();
      if (performance.now() - unansweredSince >= silenceMs)
        socket.destroy(new Error('connection terminated: the database is silent'));
    }
  }, silenceMs / LOOKS).unref();
  return socket.once('close', () => clearInterval(timer));
}

/**
 * A connection that always ends: its loss is never an uncaught exception, and a silent server is a lost connection. A pool
 * takes its listener off a connection before whoever asked for it can put on another one; when the server's farewell
 * arrives in that moment, nobody would listen. The queries of a lost connection still fail, and the pool still replaces it.
 */
export class PostgresClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig, silenceMs = SILENCE_MS) {
    const given = typeof config === 'string' ? { connectionString: config } : config;
    super({ stream: () => watchedSocket(silenceMs), ...given });
    this.on('error', () => undefined);
  }
}
