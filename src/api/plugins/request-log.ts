import { inOrder } from './in-order.js';
import { LogController, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';

/** Asked every few seconds by machines. */
const PROBES = new Set(['/healthz', '/readyz', '/metrics']);
/** A path may be as long as a client likes. */
const PATH_LENGTH = 300;

/**
 * The framework's own lines about requests, two for each, make way for the one below; what it says of broken streams
 * stays.
 */
export class QuietLogController extends LogController {
  override incomingRequest(): void {
    // Said at its end.
  }
  override requestCompleted(): void {
    // Said below.
  }
  override routeNotFound(): void {
    // Said by the status.
  }
}

const told = new WeakSet<FastifyRequest>();

/** One line: who called what, and how it ended. The query stays out, since it may hold what is nobody's business. */
export function logRequest(request: FastifyRequest, reply: FastifyReply, aborted = false): void {
  if (told.has(request)) return;
  told.add(request);
  const route = request.is404 ? 'none' : (request.routeOptions.url ?? 'none');
  const level = PROBES.has(route) ? 'debug' : reply.statusCode >= 500 && !aborted ? 'warn' : 'info';
  request.log[level](
    {
      method: request.method,
      route,
      path: request.url.split('?')[0]?.slice(0, PATH_LENGTH),
      // Nobody saw a status.
      status: aborted ? null : reply.statusCode,
      duration_ms: Math.round(reply.elapsedTime * 10) / 10,
      team_id: request.caller?.teamId ?? null,
      key_prefix: request.caller?.keyPrefix ?? null,
      address: request.ip,
    },
    aborted ? 'request: the client went away' : 'request',
  );
}

export function registerRequestLog(app: FastifyInstance): void {
  app.addHook('onResponse', inOrder(logRequest));
  // An answer that was under way ends as it does for everybody else: an event stream's client goes away some time.
  app.addHook('onRequestAbort', async (request) => {
    const reply = replies.get(request);
    if (reply !== undefined) logRequest(request, reply, !reply.raw.headersSent);
  });
  const replies = new WeakMap<FastifyRequest, FastifyReply>();
  app.addHook(
    'onRequest',
    inOrder((request, reply) => void replies.set(request, reply)),
  );
}
