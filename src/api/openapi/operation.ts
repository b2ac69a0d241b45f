import { statusOf, type ErrorCode } from '../../errors/index.js';
import { PROBLEM_TYPE, ProblemSchema } from '../problem.js';
import { headersOf, type AnswerHeader } from './headers.js';
import { isObject, plainSchema, type Json } from './plain-schema.js';

/** What a route says of itself for the document, beside its schemas. */
export interface RouteDoc {
  /** Of its own; what holds for every call (a key, its scope, limits, bodies) comes by itself. */
  errors?: readonly ErrorCode[];
  /** Headers of its answers, by status. */
  headers?: Readonly<Partial<Record<number, readonly AnswerHeader[]>>>;
  /** Media types of the answers that have another one beside JSON, by status. */
  streams?: Readonly<Partial<Record<number, Json>>>;
  /** Parameters that are sent in a form of their own, by name. */
  parameters?: Readonly<Record<string, Json>>;
  /** Requests to show, by name. */
  examples?: Readonly<Record<string, { summary: string; value: unknown }>>;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    doc?: RouteDoc;
  }
}

/** How the transformation of a route hands to that of the document what the generator in between does not know. */
export const ROUTE = 'x-route';

export interface Route extends RouteDoc {
  operationId: string;
  scopes: readonly string[];
  /** `label.*` is in its query. */
  labels: boolean;
  multipart: boolean;
}

const LIMITS: readonly AnswerHeader[] = ['RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset'];

/** A name that begins with `label.` cannot be listed; an object in form style is sent as its members. */
const LABELS = {
  in: 'query',
  name: 'labels',
  description:
    'Sent as `label.<key>=<value>`, as often as wanted (the name of this parameter is not sent): all of them must match.',
  required: false,
  style: 'form',
  explode: true,
  schema: {
    type: 'object',
    propertyNames: { pattern: '^label\\.[A-Za-z0-9_.-]{1,64}$' },
    additionalProperties: { type: 'string', maxLength: 256 },
  },
};

/** How the parts of a form are sent. */
const FORM_ENCODING = {
  spec: { contentType: 'application/json' },
  model: { contentType: 'application/octet-stream' },
  calibration: { contentType: 'application/octet-stream' },
  evaluation: { contentType: 'application/octet-stream' },
};

/** The generator's words for an answer that is not described. */
const UNSAID = 'Default Response';
const MEANING: Record<string, string> = { 200: 'as it is now', 201: 'made', 202: 'accepted', 503: 'not ready' };

function errorsOf({ scopes, errors = [] }: Route, hasBody: boolean): ErrorCode[] {
  const always: ErrorCode[] = ['invalid_request', 'internal', 'unavailable'];
  const keyed: ErrorCode[] = scopes.length === 0 ? [] : ['unauthorized', 'forbidden', 'too_many_requests'];
  const body: ErrorCode[] = hasBody ? ['payload_too_large', 'unsupported_media_type'] : [];
  return [...new Set([...always, ...keyed, ...body, ...errors])];
}

function problemsOf(route: Route, hasBody: boolean): Json {
  const codes = errorsOf(route, hasBody);
  const statuses = [...new Set(codes.map(statusOf))].sort((a, b) => a - b);
  return Object.fromEntries(
    statuses.map((status) => {
      const those = codes.filter((code) => statusOf(code) === status);
      const headers: AnswerHeader[] = ['X-Request-Id'];
      if (status === 401) headers.push('WWW-Authenticate');
      if (status === 429 || status === 503) headers.push('Retry-After');
      const content = { [PROBLEM_TYPE]: { schema: plainSchema(ProblemSchema, 'answered') } };
      const description = `\`code\` is ${those.map((code) => `\`${code}\``).join(' or ')}`;
      return [String(status), { description, headers: headersOf(headers), content }];
    }),
  );
}

function answersOf(operation: Json, route: Route): Json {
  const answers = isObject(operation['responses']) ? operation['responses'] : {};
  return Object.fromEntries(
    Object.entries(answers).map(([status, answer]) => {
      const own = route.headers?.[Number(status)] ?? [];
      const headers = headersOf([...own, 'X-Request-Id', ...(route.scopes.length === 0 ? [] : LIMITS)]);
      const { description, ...known } = isObject(answer) ? answer : {};
      const more = route.streams?.[Number(status)];
      const content = more === undefined ? {} : { content: { ...(known['content'] as Json | undefined), ...more } };
      const said = description === UNSAID ? (MEANING[status] ?? 'the answer') : description;
      return [status, { ...known, description: said, headers, ...content }];
    }),
  );
}

function bodyOf(body: unknown, { multipart, examples }: Route): Json {
  if (!isObject(body) || !isObject(body['content'])) return {};
  const { content } = body;
  const encoded = Object.entries(content).map(([type, media]) => {
    const shown = examples !== undefined && type === 'application/json' ? { examples } : {};
    const parts = multipart && type === 'multipart/form-data' ? { encoding: FORM_ENCODING } : {};
    return [type, { ...(media as Json), ...shown, ...parts }];
  });
  return { requestBody: { ...body, content: Object.fromEntries(encoded) as Json } };
}

/** An operation with all that its route says, and all that holds for every route. */
export function describeOperation(method: string, operation: Json): Json {
  const { [ROUTE]: given, requestBody, parameters, ...rest } = operation;
  const route = given as Route;
  const own = (Array.isArray(parameters) ? (parameters as Json[]) : []).map((one) => ({
    ...one,
    ...route.parameters?.[String(one['name'])],
  }));
  const listed = route.labels ? [...own, LABELS] : own;
  return {
    ...rest,
    // One handler may answer both methods.
    operationId: method === 'head' ? `${route.operationId}Head` : route.operationId,
    'x-scopes': route.scopes,
    ...(listed.length === 0 ? {} : { parameters: listed }),
    ...bodyOf(requestBody, route),
    responses: { ...problemsOf(route, requestBody !== undefined), ...answersOf(operation, route) },
  };
}
