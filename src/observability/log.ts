import type { Logger } from 'pino';

/** What the rooms below need of a logger. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
