import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { Type, type Static } from 'typebox';
import { InfrastructureError, InputError, SparankError, type ErrorCode } from '../errors/index.js';

/** RFC 9457 */
export const PROBLEM_TYPE = 'application/problem+json';

export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'urn:sparank:error:<code>' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    instance: Type.String({ description: 'the path that was called' }),
    code: Type.String({ description: 'stable, for programs' }),
    request_id: Type.String({ description: 'also in X-Request-Id and in the logs' }),
    errors: Type.Optional(Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }))),
  },
  { $id: 'Problem' },
);

/** What the framework's own errors mean to a client. */
const CODE_OF_STATUS: Record<number, ErrorCode> = {
  400: 'invalid_request',
  404: 'not_found',
  406: 'invalid_request',
  408: 'invalid_request',
  413: 'payload_too_large',
  414: 'invalid_request',
  415: 'unsupported_media_type',
  429: 'too_many_requests',
  503: 'unavailable',
};

const RETRY_AFTER_SECONDS = 5;

function expectedError(error: unknown, { raw }: FastifyRequest): SparankError {
  if (error instanceof SparankError) return error;
  // A client that went away in the middle of its body is no failure of the service.
  if (raw.destroyed && !raw.complete)
    return new InputError('invalid_request', 'the body was cut short', { cause: error });
  const { statusCode, message } = error as Partial<FastifyError>;
  const code = statusCode === undefined ? undefined : CODE_OF_STATUS[statusCode];
  if (code === undefined) return new InfrastructureError('internal', 'internal');
  return statusCode === 503 ? new InfrastructureError(code, '') : new InputError(code, message ?? '');
}

/** A server-side failure tells the client nothing but its code; the log has the rest under the request id. */
export function toProblem(error: unknown, request: FastifyRequest): Static<typeof ProblemSchema> {
  const known = expectedError(error, request);
  const hidden = known.status >= 500;
  const detail = hidden ? `${known.title}. Give the request id when you report this.` : known.message;
  return {
    type: `urn:sparank:error:${known.code}`,
    title: known.title,
    status: known.status,
    detail,
    instance: request.url.split('?')[0] ?? '/',
    code: known.code,
    request_id: request.id,
    ...(!hidden && known.faults.length > 0 ? { errors: known.faults } : {}),
  };
}

export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = toProblem(error, request);
  if (problem.status >= 500) request.log.error({ err: error }, 'request failed');
  if (problem.status === 401) reply.header('WWW-Authenticate', 'Bearer realm="sparank"');
  const retryAfter = error instanceof SparankError ? error.retryAfterSeconds : undefined;
  if (retryAfter !== undefined) reply.header('Retry-After', retryAfter);
  else if (problem.status === 503) reply.header('Retry-After', RETRY_AFTER_SECONDS);
  // What a handler set for the answer that it could not give.
  for (const name of ['ETag', 'Content-Disposition', 'Content-Length', 'Location']) reply.removeHeader(name);
  return reply
    .header('X-Request-Id', request.id)
    .code(problem.status)
    .type(PROBLEM_TYPE)
    .serializer(JSON.stringify)
    .send(problem);
}

export const notFound = (what: string) => new InputError('not_found', `there is no such ${what}`);
