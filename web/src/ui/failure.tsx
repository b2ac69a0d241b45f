import { ApiError } from '../api/call.js';
import { Icon } from './icon.js';

const NEXT: Record<string, string> = {
  network: 'The page tries again by itself when the service is back.',
  unauthorized: 'Log in again.',
  forbidden: 'Use a key that has this scope.',
  not_found: 'It may have been removed, or belongs to another team.',
  too_many_requests: 'Wait a moment.',
  limit_exceeded: 'Free some of it, or ask an operator for a higher limit.',
};

/** What went wrong, and what can be done about it. */
export function Failure({ error, retry, title }: { error: Error; retry?: () => void; title?: string }) {
  const known = error instanceof ApiError ? error : null;
  const next = known === null ? undefined : NEXT[known.code];
  return (
    <div className="notice notice-bad" role="alert">
      <Icon name="alert" />
      <div>
        <p className="notice-title">{title ?? error.message}</p>
        {title === undefined ? null : <p>{error.message}</p>}
        {known !== null && known.faults.length > 0 ? (
          <ul className="faults">
            {known.faults.map(({ pointer, detail }) => (
              <li key={pointer + detail}>
                <code>{pointer}</code> {detail}
              </li>
            ))}
          </ul>
        ) : null}
        {next === undefined ? null : <p>{next}</p>}
        {known?.requestId ? (
          <p className="muted small">
            Request <code>{known.requestId}</code>
          </p>
        ) : null}
        {retry === undefined ? null : (
          <button type="button" className="button small" onClick={retry}>
            Try again
          </button>
        )}
      </div>
    </div>
  );
}
