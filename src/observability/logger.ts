import { pino, stdSerializers, type DestinationStream, type Logger } from 'pino';
import type { Config } from '../config/index.js';
import { errorText } from './error-text.js';

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
    serializers: { err: (error: unknown) => withoutPasswords(serialized(error)) },
  };
  return destination ? pino(options, destination) : pino(options);
}

/** Redis' client puts the command that was refused into its error: that of a wrong password has the password. */
function serialized(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { command: _, ...fields } = { command: null, ...stdSerializers.err(error) };
  return { ...fields, message: errorText(error) };
}

/** Drivers put the URL they could not reach into the message, with its password. */
function withoutPasswords(value: unknown): unknown {
  if (typeof value === 'string') return value.replace(/(\w+:\/\/[^\s:/@]*):[^\s@/]+@/g, `$1:${SECRET}@`);
  if (Array.isArray(value)) return value.map(withoutPasswords);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, withoutPasswords(v)]));
}
