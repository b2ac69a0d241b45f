import type { FastifyBaseLogger, FastifySchemaCompiler, FastifySerializerCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import Value from 'typebox/value';
import { InputError } from '../errors/index.js';
import { schemaFaults } from '../jobs/schema-faults.js';
import { requestFault } from './problem.js';

const NUMBER = /^-?\d+(\.\d+)?$/;

/** Where a fault is, when it is not in the body: `#query/limit`, `#path/id`. */
const PREFIX: Record<string, string> = { body: '', querystring: '#query', params: '#path', headers: '#header' };

/** A copy of its own for a request that may change it. */
const fresh = (value: unknown): unknown => (typeof value === 'object' ? structuredClone(value) : value);

/**
 * Values of what arrives as text, and defaults of what does not. Not Value.Convert for numbers: it takes `true` for 1,
 * and cuts 1.5 down to 1. Every request has three such parts, and most are polls: what is as it should be is not copied.
 */
function textReader(schema: TSchema): (given: unknown) => unknown {
  const properties = (schema as { properties?: Record<string, TSchema & { default?: unknown }> }).properties ?? {};
  const known = Object.entries(properties).map(([name, property]) => {
    const type = 'type' in property ? property.type : undefined;
    const checker = Compile(property);
    const read = (text: unknown): unknown => {
      if (type === 'integer' || type === 'number')
        return typeof text === 'string' && NUMBER.test(text) ? Number(text) : text;
      return checker.Check(text) ? text : Value.Convert(property, structuredClone(text));
    };
    return { name, plain: type === 'string', fallback: property.default, read };
  });
  return (given) => {
    if (typeof given !== 'object' || given === null) return given;
    const texts = given as Record<string, unknown>;
    const changed: Record<string, unknown> = {};
    let changes = 0;
    for (const { name, plain, fallback, read } of known) {
      const text = texts[name];
      if (text === undefined ? fallback === undefined : plain && typeof text === 'string') continue;
      const value = text === undefined ? fresh(fallback) : read(text);
      if (value === text) continue;
      changed[name] = value;
      changes++;
    }
    return changes === 0 ? given : { ...texts, ...changed };
  };
}

/** Checks requests against their TypeBox schemas; everything but a body arrives as text and is converted first. */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const checker = Compile(schema);
  const prefix = PREFIX[httpPart ?? 'body'] ?? '';
  const isBody = httpPart === 'body';
  const read = isBody ? (given: unknown) => Value.Default(schema, given) : textReader(schema);
  return (given: unknown) => {
    const value = read(given);
    // Headers that are set, if only to what they are, are copied by the framework each time that they are looked at.
    if (checker.Check(value)) return value === given && !isBody ? true : { value };
    const faults = schemaFaults(schema, value, prefix);
    const detail = faults.map((fault) => `${fault.pointer} ${fault.detail}`.trim()).join('; ');
    return { error: new InputError('invalid_request', detail, { faults }) };
  };
};

/** For a body whose schema is only shown in the OpenAPI document, and checked by its handler. */
export const bodyIsCheckedByHandler: FastifySchemaCompiler<TSchema> = (route) =>
  route.httpPart === 'body' ? (value: unknown) => ({ value }) : validatorCompiler(route);

/**
 * Answers are built by functions whose types come from the schemas. One that does not fit all the same is sent (a
 * client that polls is better off with it than with a 500), and is an error in the log.
 */
export const serializerCompiler =
  (logger: FastifyBaseLogger): FastifySerializerCompiler<TSchema> =>
  ({ schema, method, url, httpStatus }) => {
    const checker = Compile(schema);
    return (value: unknown) => {
      if (!checker.Check(value)) {
        logger.error(
          { method, url, httpStatus, faults: schemaFaults(schema, value) },
          'an answer does not fit its schema',
        );
      }
      return JSON.stringify(value);
    };
  };

/** A query parameter that the schema cannot check. */
export const queryFault = (name: string, detail: string): InputError => requestFault(`#query/${name}`, detail);

export const badCursor = (what: string): InputError =>
  queryFault('after', `names a ${what} that is not there (any more)`);

/**
 * What PostgreSQL takes for a year that four digits can say: there is no year 0, and nobody asks for what is after
 * 9999.
 */
const FIRST_TIME = Date.parse('0001-01-01T00:00:00Z');
const LAST_TIME = Date.parse('9999-12-31T23:59:59.999Z');

/** Whether a time (in ms) can be kept and compared by the database, also once its time zone is applied. */
export const isStorableTime = (ms: number): boolean => ms >= FIRST_TIME && ms <= LAST_TIME;

const TIME = /^(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/i;

/** 31 February would be read as a day in March. */
function isDay(day: string): boolean {
  const time = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(time.getTime()) && time.toISOString().startsWith(day);
}

/** RFC 3339, with its time zone. */
export function readTime(given: string, pointer: string): Date {
  const time = new Date(given);
  const day = TIME.exec(given)?.[1];
  if (day === undefined || !isDay(day) || Number.isNaN(time.getTime()))
    throw requestFault(pointer, 'must be a time such as 2026-01-31T12:00:00Z');
  if (!isStorableTime(time.getTime())) throw requestFault(pointer, 'must be in the years 0001 to 9999 (UTC)');
  return time;
}
