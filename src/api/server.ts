import { buildApp } from './app.js';
import type { ApiDeps } from './deps.js';

export interface ApiServer {
  /** Where it listens, with the port that it got. */
  url: string;
  /** Ends waits and streams, lets other requests finish for SHUTDOWN_SECONDS, then cuts. */
  close(): Promise<void>;
}

export async function startApi(deps: ApiDeps): Promise<ApiServer> {
  const app = await buildApp(deps);
  const url = await app.listen({ host: deps.config.HOST, port: deps.config.PORT });
  return {
    url,
    async close() {
      const cut = setTimeout(() => app.server.closeAllConnections(), deps.config.SHUTDOWN_SECONDS * 1000);
      await app.close();
      clearTimeout(cut);
    },
  };
}
