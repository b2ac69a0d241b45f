import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A TCP proxy whose living connections can be made silent: no byte passes, no end is told, as after a cable was pulled.
 */
export class Proxy {
  readonly port: number;
  readonly #server: Server;
  readonly #pairs: Set<readonly [Socket, Socket]>;

  private constructor(server: Server, port: number, pairs: Set<readonly [Socket, Socket]>) {
    this.#server = server;
    this.port = port;
    this.#pairs = pairs;
  }

  static async open(target: number): Promise<Proxy> {
    const pairs = new Set<readonly [Socket, Socket]>();
    const server = createServer((client) => {
      const upstream = connect(target, '127.0.0.1');
      const pair = [client, upstream] as const;
      pairs.add(pair);
      const end = () => {
        // A silent pair stays as it is until one side gives up.
        pairs.delete(pair);
        client.destroy();
        upstream.destroy();
      };
      for (const socket of pair) socket.setNoDelay(true).on('error', end).on('close', end);
      client.pipe(upstream).pipe(client);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
    return new Proxy(server, address.port, pairs);
  }

  /** Silences every living connection for good; new ones work. Returns how many. */
  silence(): number {
    for (const [client, upstream] of this.#pairs) {
      client.unpipe(upstream).pause();
      upstream.unpipe(client).pause();
    }
    return this.#pairs.size;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    await closed;
  }
}
