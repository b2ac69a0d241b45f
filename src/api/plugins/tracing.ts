import type { FastifyInstance } from 'fastify';
import { NO_TELEMETRY, type OpenSpan, type Telemetry } from '../../observability/telemetry.js';
import { inOrder } from './in-order.js';
import { isProbe, routeOf } from './route.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** The span of the request; null for probes. */
    span: OpenSpan | null;
  }
}

/** A span for every request, by its route, inside the client's trace when it sends one. */
export function registerTracing(app: FastifyInstance, telemetry: Telemetry): void {
  app.decorateRequest('span', null);
  if (telemetry === NO_TELEMETRY) return;
  app.addHook(
    'onRequest',
    inOrder((request) => {
      const route = routeOf(request);
      // Their spans would be most of all, and tell nothing.
      if (isProbe(route)) return;
      const given = request.headers['traceparent'];
      request.span = telemetry.start(`${request.method} ${route}`, {
        kind: 'server',
        parent: typeof given === 'string' ? given : null,
        attributes: {
          'http.request.method': request.method,
          'http.route': route,
          'sparank.request_id': request.id,
        },
      });
    }),
  );
  app.addHook(
    'onResponse',
    inOrder((request, reply) => {
      const fault = reply.statusCode >= 500 ? `answered ${reply.statusCode}` : undefined;
      request.span?.end({ 'http.response.status_code': reply.statusCode }, fault);
    }),
  );
  // A client that went away gets no answer.
  app.addHook('onRequestAbort', async (request) => request.span?.end({}, 'the client went away'));
}
