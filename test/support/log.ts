import type { Log } from '../../src/observability/log.js';

const nothing = (): void => undefined;

/** A logger that says nothing. */
export const quietLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };
