import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import helmet from 'helmet';
import { inOrder } from './in-order.js';
import { routeOf } from './route.js';

const NOT_MODIFIED = 304;

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

/**
 * On every answer but a 304: that one has nothing to show, and who has the answer that it confirms has it with its
 * headers (RFC 9110, 15.4.5). Routes may set others of their own.
 */
export function registerSecurityHeaders(app: FastifyInstance): void {
  const all = headers();
  /** Routes that answer 304. */
  const conditional = new Set<string>();
  app.addHook('onRoute', ({ url, schema }) => {
    if (Object.hasOwn(schema?.response ?? {}, NOT_MODIFIED)) conditional.add(url);
  });
  const mayBeUnchanged = (request: FastifyRequest): boolean =>
    request.headers['if-none-match'] !== undefined && conditional.has(routeOf(request));
  app.addHook(
    'onRequest',
    inOrder((request, reply) => {
      if (!mayBeUnchanged(request)) reply.headers(all);
    }),
  );
  // They are three times as many as a 304 has otherwise, and what it takes to set and write them is a good part of it.
  app.addHook('onSend', (request, reply, payload, done) => {
    if (reply.statusCode !== NOT_MODIFIED && mayBeUnchanged(request))
      for (const [name, value] of Object.entries(all)) if (!reply.hasHeader(name)) reply.header(name, value);
    done(null, payload);
  });
}
