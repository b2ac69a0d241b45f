import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import helmet from 'helmet';
import { inOrder } from './in-order.js';

/** What helmet sets: the same for every request, so it is asked once. */
function headers(): Record<string, string> {
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  const set = helmet({
    crossOriginResourcePolicy: { policy: 'same-site' },
    // A service on plain http and a host name would send browsers to an https that is not there.
    contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } },
  });
  set(response.req, response, (error) => {
    if (error !== undefined) throw new Error('helmet set no headers', { cause: error });
  });
  return Object.fromEntries(response.getHeaderNames().map((name) => [name, String(response.getHeader(name))]));
}

/** On every answer; routes may set others of their own. */
export function registerSecurityHeaders(app: FastifyInstance): void {
  const all = headers();
  app.addHook(
    'onRequest',
    inOrder((_request, reply) => void reply.headers(all)),
  );
}
