import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { Type, type Static } from 'typebox';
import { InfrastructureError, InputError, SparankError, type ErrorCode } from '../errors/index.js';
import { asSparankError } from '../errors/classify.js';

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

/** What the framework's own errors mean to a client, and where the fault is. */
const MEANING_OF_STATUS: Record<number, { code: ErrorCode; pointer?: string }> = {
  400: { code: 'invalid_request', pointer: '#body' },
  404: { code: 'not_found' },
  406: { code: 'invalid_request', pointer: '#header/accept' },
  408: { code: 'invalid_request', pointer: '#request' },
  413: { code: 'payload_too_large', pointer: '#body' },
  412: { code: 'invalid_request', pointer: '#header' },
  414: { code: 'invalid_request', pointer: '#path' },
  415: { code: 'unsupported_media_type', pointer: '#header/content-type' },
  416: { code: 'range_not_satisfiable', pointer: '#header/range' },
  429: { code: 'too_many_requests' },
  503: { code: 'unavailable' },
};
/** Where the fault is not where its status says. */
const POINTER_OF_CODE: Record<string, string> = {
  FST_ERR_BAD_URL: '#path',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: '#header/content-length',
};
const ANY_OF_CLIENT: { code: ErrorCode; pointer?: string } = { code: 'invalid_request', pointer: '#request' };
const BODY_TYPES = ['application/json', 'multipart/form-data', 'application/x-www-form-urlencoded'];

const RETRY_AFTER_SECONDS = 5;

/** A fault in what was sent, at one place of it. */
export const requestFault = (pointer: string, detail: string, cause?: unknown): InputError =>
  new InputError('invalid_request', `${pointer} ${detail}`.trim(), { faults: [{ pointer, detail }], cause });

export const unsupported = (pointer: string, detail: string): InputError =>
  new InputError('unsupported_media_type', detail, { faults: [{ pointer, detail }] });

/** The framework's words, where they say what to do; ours, where they do not. */
function detailOf(status: number, message: string, { headers, server, routeOptions }: FastifyRequest): string {
  if (status === 413) return `the body may have ${String(routeOptions.bodyLimit)} bytes`;
  if (status !== 415) return message;
  const taken = BODY_TYPES.filter((type) => server.hasContentTypeParser(type)).join(' or ');
  return `this call takes ${taken}; the Content-Type is ${headers['content-type'] ?? 'missing'}`;
}

const isOfClient = (status: number | undefined): boolean => status !== undefined && status >= 400 && status < 500;

/** What the framework says of a client's fault keeps its status, which says more than our code for it. */
function statusOf(error: unknown, told: SparankError): number {
  const { statusCode } = error as Partial<FastifyError>;
  const kept = !(error instanceof SparankError) && told instanceof InputError && isOfClient(statusCode);
  return kept ? (statusCode ?? told.status) : told.status;
}

/** This process cannot do it, or something behind it is away: another one, or a later call, may work. */
const mayWorkElsewhere = ({ class: kind, status }: SparankError): boolean =>
  kind === 'own_fault' || (kind === 'outage' && status >= 500);

function expectedError(error: unknown, request: FastifyRequest): SparankError {
  if (error instanceof SparankError) {
    return error.status === 500 && mayWorkElsewhere(error) ? new InfrastructureError('unavailable', '') : error;
  }
  const { raw } = request;
  // A client that went away in the middle of its body is no failure of the service.
  if (raw.destroyed && !raw.complete) return requestFault('#body', 'was cut short', error);
  const { statusCode, message, code } = error as Partial<FastifyError>;
  const meaning = MEANING_OF_STATUS[statusCode ?? 0] ?? (isOfClient(statusCode) ? ANY_OF_CLIENT : undefined);
  if (statusCode === undefined || meaning === undefined)
    return new InfrastructureError(mayWorkElsewhere(asSparankError(error)) ? 'unavailable' : 'internal', '');
  if (statusCode === 503) return new InfrastructureError(meaning.code, '');
  const pointer = POINTER_OF_CODE[code ?? ''] ?? meaning.pointer;
  const detail = detailOf(statusCode, message ?? '', request);
  return new InputError(meaning.code, detail, { faults: pointer === undefined ? [] : [{ pointer, detail }] });
}

/** A server-side failure tells the client nothing but its code; the log has the rest under the request id. */
export function problemBody(
  error: SparankError,
  { status = error.status, instance, requestId }: { status?: number; instance: string; requestId: string },
): Static<typeof ProblemSchema> {
  const hidden = status >= 500;
  const detail = hidden ? `${error.title}. Give the request id when you report this.` : error.message;
  return {
    type: `urn:sparank:error:${error.code}`,
    title: error.title,
    status,
    detail,
    instance,
    code: error.code,
    request_id: requestId,
    ...(!hidden && error.faults.length > 0 ? { errors: error.faults } : {}),
  };
}

function toProblem(error: unknown, request: FastifyRequest): Static<typeof ProblemSchema> {
  const instance = request.url.split('?')[0] ?? '/';
  const told = expectedError(error, request);
  return problemBody(told, { status: statusOf(error, told), instance, requestId: request.id });
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
