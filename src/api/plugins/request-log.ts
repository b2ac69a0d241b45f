import { inOrder } from './in-order.js';
import { isProbe, routeOf } from './route.js';
import {
  LogController,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';

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
export function logRequest(
  request: FastifyRequest,
  reply: FastifyReply,
  { aborted = false, log = request.log }: { aborted?: boolean; log?: FastifyBaseLogger } = {},
): void {
  if (told.has(request)) return;
  told.add(request);
  const route = routeOf(request);
  const level = isProbe(route) ? 'debug' : reply.statusCode >= 500 && !aborted ? 'warn' : 'info';
  log[level](
    {
      ...(log === request.log ? {} : { request_id: request.id }),
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
  // Nothing in the line is secret, and looking for what is would take a third of its time.
  const log = app.log.child({}, { redact: [] });
  app.addHook(
    'onResponse',
    inOrder((request, reply) => logRequest(request, reply, { log })),
  );
  // An answer that was under way ends as it does for everybody else: an event stream's client goes away some time.
  app.addHook('onRequestAbort', async (request) => {
    const reply = replies.get(request);
    if (reply !== undefined) logRequest(request, reply, { aborted: !reply.raw.headersSent, log });
  });
  const replies = new WeakMap<FastifyRequest, FastifyReply>();
  app.addHook(
    'onRequest',
    inOrder((request, reply) => void replies.set(request, reply)),
  );
}
