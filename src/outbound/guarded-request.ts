import { lookup } from 'node:dns';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { InfrastructureError, InputError } from '../errors/index.js';
import { isPublicAddress } from './public-address.js';

/** Calls to URLs that clients name: models to fetch, webhooks to send. One guard for all of them. */

const SILENCE_MS = 30_000;

export interface OutboundOptions {
  /** The setting URL_ALLOWED_HOSTS: `host` or `host:port`, comma-separated; these may be private and plain http. */
  allowedHosts: string;
  signal?: AbortSignal;
  /** How names are resolved; the answer is checked, and is the address that is dialled. */
  resolve?: typeof lookup;
  /** A server silent for this long is given up. */
  silenceMs?: number;
}

export interface OutboundRequest {
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body?: string;
}

/**
 * What can be said of a URL before it is dialled: its form, its scheme, and a literal address.
 * @throws {InputError}
 */
export function checkOutboundUrl(text: string, allowedHosts: string): URL {
  if (!URL.canParse(text)) throw new InputError('invalid_request', 'the URL cannot be read');
  // The parser also turns decimal, octal, hexadecimal and short forms of an IPv4 address into the usual one.
  const url = new URL(text);
  const allowed = isAllowed(url, allowedHosts);
  if (url.protocol !== 'https:' && !(allowed && url.protocol === 'http:')) throw refused(url, 'is not https');
  if (url.username !== '' || url.password !== '') throw refused(url, 'carries credentials');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (!allowed && isIP(host) !== 0 && !isPublicAddress(host)) throw refused(url, 'is not a public address');
  return url;
}

function isAllowed(url: URL, allowedHosts: string): boolean {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  const names = [url.hostname, `${url.hostname}:${port}`];
  return allowedHosts.split(',').some((host) => names.includes(host.trim().toLowerCase()));
}

/** Checks every address a name resolves to. The socket dials what this returns, so there is no second look to cheat. */
export function guardedLookup(url: URL, options: Pick<OutboundOptions, 'allowedHosts' | 'resolve'>): LookupFunction {
  const allowed = isAllowed(url, options.allowedHosts);
  return (hostname, settings, done) => {
    (options.resolve ?? lookup)(hostname, { ...settings, all: true }, (error, addresses) => {
      const first = addresses?.[0];
      if (error || !first) {
        done(error ?? new Error('no address'), '');
        return;
      }
      if (!allowed && !addresses.every(({ address }) => isPublicAddress(address))) {
        done(refused(url, 'resolves to an address that is not public'), '');
        return;
      }
      if (settings.all) done(null, addresses);
      else done(null, first.address, first.family);
    });
  };
}

/**
 * Calls a URL that `checkOutboundUrl` let pass and resolves to the head of the answer. Redirects are not followed.
 * @throws {InputError} when the name resolves to an address that is not public
 * @throws {InfrastructureError} when there is no answer
 */
export function callOutbound(url: URL, request: OutboundRequest, options: OutboundOptions): Promise<IncomingMessage> {
  const silenceMs = options.silenceMs ?? SILENCE_MS;
  return new Promise((resolve, reject) => {
    const call = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
      agent: false, // a kept connection would not be checked again
      method: request.method,
      headers: { 'user-agent': 'sparank', ...request.headers },
      lookup: guardedLookup(url, options),
      timeout: silenceMs,
      ...(options.signal && { signal: options.signal }),
    });
    call.on('timeout', () => call.destroy(unreachable(url, `was silent for ${silenceMs / 1000} s`)));
    call.on('response', resolve);
    call.on('error', (error) => {
      if (options.signal?.aborted) reject(options.signal.reason as Error);
      else if (error instanceof InputError || error instanceof InfrastructureError) reject(error);
      else reject(unreachable(url, 'cannot be reached', error));
    });
    call.end(request.body);
  });
}

/** Without the query, which may hold a signature. */
export function describeUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

export function refused(url: URL, why: string): InputError {
  return new InputError('invalid_request', `the URL ${describeUrl(url)} ${why}`);
}

export function unreachable(url: URL, why: string, cause?: unknown): InfrastructureError {
  return new InfrastructureError('unavailable', `the URL ${describeUrl(url)} ${why}`, { cause });
}
