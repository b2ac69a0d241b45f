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

declare module 'fastify' {
  interface FastifyRequest {
    /** Its answer, for those who are given the request alone. */
    answer: FastifyReply | null;
    /** Whether it has its line. */
    isLogged: boolean;
  }
}

/** One line: who called what, and how it ended. The query stays out, since it may hold what is nobody's business. */
export function logRequest(
  request: FastifyRequest,
  reply: FastifyReply,
  { aborted = false, log = request.log }: { aborted?: boolean; log?: FastifyBaseLogger } = {},
): void {
  if (request.isLogged) return;
  request.isLogged = true;
  const route = routeOf(request);
  const { url, caller } = request;
  const level = isProbe(route) ? 'debug' : reply.statusCode >= 500 && !aborted ? 'warn' : 'info';
  const end = url.indexOf('?');
  log[level](
    {
      // The logger of the request says it by itself.
      request_id: log === request.log ? undefined : request.id,
      method: request.method,
      route,
      path: url.slice(0, Math.min(end < 0 ? url.length : end, PATH_LENGTH)),
      // Nobody saw a status.
      status: aborted ? null : reply.statusCode,
      duration_ms: Math.round(reply.elapsedTime * 10) / 10,
      team_id: caller?.teamId ?? null,
      key_prefix: caller?.keyPrefix ?? null,
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
    const { answer } = request;
    if (answer !== null) logRequest(request, answer, { aborted: !answer.raw.headersSent, log });
  });
  // Not in maps of their own: two entries for each request, which the garbage collector has to look through, took a
  // tenth of the time of a poll.
  app.decorateRequest('answer', null);
  app.decorateRequest('isLogged', false);
  app.addHook(
    'onRequest',
    inOrder((request, reply) => void (request.answer = reply)),
  );
}
