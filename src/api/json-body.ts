import type { FastifyInstance, FastifyRequest } from 'fastify';
import { requestFault } from './problem.js';

const BYTE_ORDER_MARK = 0xfeff;

/**
 * What the client sent as JSON. A name such as `__proto__` is a name like any other here: `checkStorable` refuses it,
 * with its place.
 *
 * @param pointer where it stood, for the fault
 * @throws {InputError} invalid_request
 */
export function parseJson(text: string, pointer: string): unknown {
  const json = text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text;
  if (json.trim() === '') throw requestFault(pointer, 'is empty; it must be JSON');
  try {
    return JSON.parse(json) as unknown;
  } catch (cause) {
    // The engine's own words name the place, and quote a few characters of what was sent.
    throw requestFault(pointer, `is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

/** Takes the place of the framework's parser, which calls a forbidden name "not valid JSON". */
export function registerJsonBody(app: FastifyInstance): void {
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string' },
    async (_request: FastifyRequest, body: string | Buffer) => parseJson(String(body), '#body'),
  );
}
