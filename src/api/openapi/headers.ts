const text = (description: string, required = false) => ({ description, required, schema: { type: 'string' } });
const seconds = (description: string) => ({ description, schema: { type: 'integer' } });
const count = (description: string) => ({ description, schema: { type: 'integer' } });

/** Headers of answers. A route names those that it sets. */
export const ANSWER_HEADERS = {
  ETag: text('for `If-None-Match`'),
  'Last-Modified': text('when the file was made'),
  'Cache-Control': text('answers may be kept, but not used without asking'),
  Location: text('path of what was made'),
  'Content-Location': text('path of it by its id'),
  'Content-Disposition': text('the name to save it under'),
  'Content-Range': text('which bytes these are, of how many'),
  'Accept-Ranges': text('`bytes`'),
  'Repr-Digest': text('`sha-256=:…:` of the whole content'),
  'Retry-After': seconds('seconds after which asking again is worth it'),
  'Preference-Applied': text('the `wait` of `Prefer`, when it was kept to'),
  'Idempotent-Replayed': text('`true`: the answer that the first request with this key got'),
  'Set-Cookie': text('the session of the dashboard'),
  'WWW-Authenticate': text('what to send'),
  'X-Request-Id': text('the id of the request, as in the logs', true),
  'RateLimit-Limit': count('calls of the key in a minute'),
  'RateLimit-Remaining': count('calls that are left'),
  'RateLimit-Reset': seconds('seconds until the count starts anew'),
} as const;

export type AnswerHeader = keyof typeof ANSWER_HEADERS;

/** They are described once, in the components. */
export const headersOf = (names: readonly AnswerHeader[]): Record<string, unknown> =>
  Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
