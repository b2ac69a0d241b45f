import { Socket } from 'node:net';
import pg from 'pg';

/**
 * ms. A server from which nothing comes for so long while it is asked is not there: as long as the longest transaction.
 */
const SILENCE_MS = 20_000;
const LOOKS = 4;

/** Ends the socket when no byte comes for `silenceMs` between `start` and `stop`. */
function silenceWatch(socket: Socket, silenceMs: number): { start(): void; stop(): void } {
  let timer: NodeJS.Timeout | null = null;
  let read = 0;
  let since = 0;
  const stop = () => {
    if (timer !== null) clearInterval(timer);
    timer = null;
  };
  const look = () => {
    if (socket.bytesRead !== read) {
      read = socket.bytesRead;
      since = performance.now();
    } else if (performance.now() - since >= silenceMs) {
      socket.destroy(new Error('connection terminated: the database is silent'));
    }
  };
  socket.once('close', stop);
  return {
    start() {
      if (timer !== null) return;
      read = socket.bytesRead;
      since = performance.now();
      timer = setInterval(look, silenceMs / LOOKS).unref();
    },
    stop,
  };
}

/**
 * A connection that always ends.
 *
 * Its loss is never an uncaught exception: a pool takes its listener off a connection before whoever asked for it can
 * put on another one, and when the server's farewell arrives in that moment, nobody would listen. The queries of a lost
 * connection still fail, and the pool still replaces it.
 *
 * A silent server is a lost connection: one whose other end went without a word (a cable, a firewall that forgot it)
 * otherwise stays, with the query that waits on it and its place in the pool.
 */
export class PostgresClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig, silenceMs = SILENCE_MS) {
    const given = typeof config === 'string' ? { connectionString: config } : config;
    const socket = new Socket();
    // The server does not learn either that its client is gone: a transaction must not hold its locks for that.
    super({ idle_in_transaction_session_timeout: silenceMs, ...given, stream: () => socket });
    const watch = silenceWatch(socket, silenceMs);
    const query = this.query.bind(this) as (...args: unknown[]) => unknown;
    this.query = ((...args: unknown[]) => {
      watch.start();
      return query(...args);
    }) as typeof this.query;
    this.on('drain', () => watch.stop());
    this.on('error', () => undefined);
  }
}
