import { setTimeout as sleep } from 'node:timers/promises';
import { codesOf, ownFault } from '../../errors/classify.js';
import { InfrastructureError, OwnFaultError, SparankError } from '../../errors/index.js';

/**
 * SQLSTATE classes and driver codes after which the same call may work: connection lost, shutting down, too many
 * clients, deadlock, a lock that is held too long, a statement that took too long, a standby that is not in charge yet,
 * trouble of the server's machine. None of those that blame the statement or its data (21, 22, 23, 42, ...).
 */
const PASSING = [
  /^(08|57|53|58|XX)/,
  /^(40001|40P01|55P03|25P03|25006)$/,
  /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)/,
  /^(P1001|P1002|P1008|P1011|P1017|P2024|P2028|P2034|P2037)$/,
  /^(DatabaseNotReachable|ConnectionClosed|SocketTimeout|TransactionWriteConflict|TooManyConnections|TlsConnectionError)$/,
];
const PASSING_MESSAGE =
  /connection (terminated|ended|closed|error)|connection timeout|timeout exceeded when trying to connect|not queryable|client has encountered a connection error|server closed the connection|unable to start a transaction|transaction not found|transaction already closed/i;

const QUICK_TRIES = 4;
const FIRST_PAUSE_MS = 40;

/** PostgreSQL has answered, or Prisma has not even asked: their messages quote what clients sent. */
const ANSWERED = /^([0-9][0-9A-Z]{4}|(P0|F0|HV)[0-9A-Z]{3}|PrismaClientValidationError)$/;

/** Whether PostgreSQL is away, or busy, for a while. */
export function isTransientError(error: unknown): boolean {
  const codes = [...codesOf(error)];
  if (codes.some((code) => PASSING.some((pattern) => pattern.test(code)))) return true;
  return !codes.some((code) => ANSWERED.test(code)) && says(error, PASSING_MESSAGE);
}

function says(error: unknown, pattern: RegExp, depth = 0): boolean {
  if (typeof error !== 'object' || error === null || depth > 5) return false;
  const fields = error as Record<string, unknown>;
  if (typeof fields['message'] === 'string' && pattern.test(fields['message'])) return true;
  return ['cause', 'meta', 'driverAdapterError', 'error'].some((name) => says(fields[name], pattern, depth + 1));
}

/**
 * Runs `work` a few times past transient errors of PostgreSQL. `work` must be harmless to repeat after an unknown
 * commit.
 */
export async function withQuickTries<T>(work: (attempt: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt);
    } catch (cause) {
      if (cause instanceof SparankError) throw cause;
      const fault = ownFault(cause);
      if (fault !== null)
        throw new OwnFaultError('unavailable', `the database refuses this process (${fault})`, { cause });
      if (!isTransientError(cause)) throw cause;
      if (attempt === QUICK_TRIES) {
        throw new InfrastructureError('unavailable', 'the database does not answer', { cause });
      }
      await sleep(FIRST_PAUSE_MS * 2 ** attempt * (0.5 + Math.random()));
    }
  }
}

/** The same repository with every method under `withQuickTries`. */
export function guarded<T extends object>(repository: T): T {
  const wrapped: Record<string, unknown> = {};
  for (const [name, method] of Object.entries(repository) as [string, unknown][]) {
    wrapped[name] =
      typeof method === 'function'
        ? (...args: unknown[]) =>
            withQuickTries(() => Promise.resolve<unknown>(Reflect.apply(method, repository, args)))
        : method;
  }
  return wrapped as T;
}
