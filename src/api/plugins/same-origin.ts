import type { FastifyRequest } from 'fastify';
import { InputError } from '../../errors/index.js';

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Whether a page of this service sent the request; null when the browser does not say. `Sec-Fetch-Site` is sent over
 * https and to this machine, and nothing between can garble it; over plain http there is `Origin`, with the host that
 * the browser called.
 */
function isOwnPage({ headers, host }: FastifyRequest): boolean | null {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  const { origin } = headers;
  if (origin === undefined) return null;
  return URL.canParse(origin) && new URL(origin).host === host;
}

const refusal = (): InputError =>
  new InputError(
    'forbidden',
    'a session of the dashboard is for its own pages; other programs send the header "Authorization: Bearer <API key>"',
  );

/**
 * Browsers add cookies to what other sites make them send. `SameSite` keeps those of other sites away, and not those of
 * another port or a sibling host: what changes something must come from a page of this very origin.
 * @throws {InputError} forbidden
 */
export function refuseForged(request: FastifyRequest): void {
  if (!SAFE.has(request.method) && isOwnPage(request) !== true) throw refusal();
}

/** For a login, which has no cookie yet: another site could log its visitor in with a key of its own. */
export function refuseForeign(request: FastifyRequest): void {
  if (isOwnPage(request) === false) throw refusal();
}
