import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface Received {
  body: string;
  headers: Record<string, string>;
}

export interface Endpoint {
  url: string;
  /** `host:port`, for URL_ALLOWED_HOSTS. */
  host: string;
  received: Received[];
  close(): Promise<void>;
}

/** A server that takes webhooks on this machine; what came is in `received` before it is answered. */
export async function openEndpoint(
  answer: RequestListener = (_request, response) => void response.writeHead(204).end(),
): Promise<Endpoint> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      received.push({ body, headers: request.headers as Record<string, string> });
      answer(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `http://${host}/hook`,
    host,
    received,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
