import pg from 'pg';

/**
 * A connection whose loss is never an uncaught exception. A pool takes its listener off a connection before whoever asked
 * for it can put on another one; when the server's farewell arrives in that moment, nobody would listen. The queries
 * of a lost connection still fail, and the pool still replaces it.
 */
export class PostgresClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
  }
}
