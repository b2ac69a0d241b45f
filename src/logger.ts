import { pino, stdSerializers, type DestinationStream, type Logger } from 'pino';
import type { Config } from './config.js';

const SECRET = '[redacted]';

/**
 * The log of a process: JSON lines with RFC 3339 times. Requests and jobs add their ids through `logger.child(...)`.
 * Keys, cookies and the passwords in connection URLs never reach it.
 */
export function createLogger(
  config: Pick<Config, 'LOG_LEVEL'>,
  bindings: Record<string, string | number> = {},
  destination?: DestinationStream,
): Logger {
  const options = {
    level: config.LOG_LEVEL,
    base: bindings,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: {
      paths: ['authorization', 'cookie', 'key', 'secret'].flatMap((name) => [
        name,
        `headers.${name}`,
        `*.headers.${name}`,
      ]),
      censor: SECRET,
    },
    serializers: { err: (error: Error) => withoutPasswords(stdSerializers.err(error)) },
  };
  return destination ? pino(options, destination) : pino(options);
}

/** Drivers put the URL they could not reach into the message, with its password. */
function withoutPasswords<T>(value: T): T {
  if (typeof value === 'string') return value.replace(/(\w+:\/\/[^\s:/@]*):[^\s@/]+@/g, `$1:${SECRET}@`) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([k, v]) => [k, typeof v === 'string' ? withoutPasswords(v) : v]),
  ) as T;
}
