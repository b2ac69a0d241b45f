import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Config } from '../config/index.js';
import type { Metrics } from '../observability/metrics.js';
import type { WorkerHealth } from '../worker/index.js';

export interface MetricsServer {
  url: string;
  close(): Promise<void>;
}

/**
 * Fails when none of its workers works for a fault of their own: a restart may bring another disk, another secret.
 * While the storage is away for everybody it does not, since a restart would help nobody.
 */
function healthOf(workers: readonly WorkerHealth[]): { code: number; body: unknown } {
  const working = workers.some((worker) => worker.state === 'in_service');
  const states = workers.map(({ state }) => state);
  const failing = workers.length > 0 && workers.every((worker) => worker.at_fault);
  const rest = states.includes('out_of_service') ? 'out_of_service' : 'starting';
  return { code: failing ? 503 : 200, body: { status: working || workers.length === 0 ? 'ok' : rest, workers } };
}

/** `/metrics` and `/healthz` of a process that has no API: a worker. */
export async function startMetricsServer(
  { HOST, METRICS_PORT }: Pick<Config, 'HOST' | 'METRICS_PORT'>,
  { registry }: Pick<Metrics, 'registry'>,
  workers: () => readonly WorkerHealth[] = () => [],
): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return void response.writeHead(405).end();
    const path = request.url?.split('?')[0];
    if (path === '/healthz') {
      const { code, body } = healthOf(workers());
      return void response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    }
    if (path !== '/metrics') return void response.writeHead(404).end();
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(METRICS_PORT, HOST, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const host = HOST.includes(':') ? `[${HOST}]` : HOST;
  return {
    url: `http://${host}:${port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
