const DEEPEST = 5;

/**
 * What went wrong, in one line, with its causes. A connection that failed at several addresses comes as an
 * `AggregateError` whose own message is empty: its parts are named instead.
 */
export function errorText(error: unknown, depth = 0): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.message.trim() === '' ? namedBy(error, depth) : error.message;
  if (error.cause === undefined || depth >= DEEPEST) return own;
  const cause = errorText(error.cause, depth + 1);
  return own.includes(cause) ? own : `${own}: ${cause}`;
}

function namedBy(error: Error, depth: number): string {
  if (error instanceof AggregateError && error.errors.length > 0 && depth < DEEPEST)
    return [...new Set(error.errors.map((one: unknown) => errorText(one, depth + 1)))].join('; ');
  const { code } = error as NodeJS.ErrnoException;
  return code ?? error.name;
}
