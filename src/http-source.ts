import { lookup } from 'node:dns';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { pipeline, type Readable, type TransformCallback } from 'node:stream';
import { InfrastructureError, InputError } from './errors.js';
import { isPublicAddress } from './public-address.js';
import { Measure } from './storage/measured-body.js';

const MAX_REDIRECTS = 5;
const REDIRECTS = [301, 302, 303, 307, 308];
const SILENCE_MS = 30_000;

export interface SourceOptions {
  /** The setting URL_ALLOWED_HOSTS: `host` or `host:port`, comma-separated; these may be private and plain http. */
  allowedHosts: string;
  maxBytes: number;
  signal?: AbortSignal;
  /** How names are resolved; the answer is checked, and is the address that is dialled. */
  resolve?: typeof lookup;
  /** A server silent for this long is given up. */
  silenceMs?: number;
}

/**
 * Opens what `url` names. The stream fails with `payload_too_large` over `maxBytes`, and at its end with
 * `digest_mismatch` unless the content has the SHA-256 `sha256` (hex).
 * @throws {InputError} for a URL that may not be fetched or does not answer 200
 * @throws {InfrastructureError} when the server cannot be reached or fails: another attempt may help
 */
export async function downloadSource(url: string, sha256: string, options: SourceOptions): Promise<Readable> {
  let at = checkSourceUrl(url, options.allowedHosts);
  for (let redirects = 0; ; redirects++) {
    const response = await open(at, options);
    const status = response.statusCode ?? 0;
    if (status === 200) return verified(response, at, sha256, options);
    response.destroy();
    const { location } = response.headers;
    if (REDIRECTS.includes(status) && location !== undefined) {
      if (redirects === MAX_REDIRECTS) throw refused(at, `redirects more than ${MAX_REDIRECTS} times`);
      if (!URL.canParse(location, at.href)) throw refused(at, 'redirects to something that is not a URL');
      at = checkSourceUrl(new URL(location, at).href, options.allowedHosts);
    } else if (status >= 500 || status === 429 || status === 408) {
      throw unreachable(at, `answered ${status}`);
    } else {
      throw refused(at, `answered ${status}`);
    }
  }
}

/**
 * What can be said of a URL before it is dialled: its form, its scheme, and a literal address.
 * @throws {InputError}
 */
export function checkSourceUrl(text: string, allowedHosts: string): URL {
  if (!URL.canParse(text)) throw new InputError('invalid_request', 'the URL cannot be read');
  // The parser also turns decimal, octal and short forms of an IPv4 address into the usual one.
  const url = new URL(text);
  const allowed = isAllowed(url, allowedHosts);
  if (url.protocol !== 'https:' && !(allowed && url.protocol === 'http:')) throw refused(url, 'is not https');
  if (url.username !== '' || url.password !== '') throw refused(url, 'carries credentials');
  const host = bareHost(url);
  if (!allowed && isIP(host) !== 0 && !isPublicAddress(host)) throw refused(url, 'is not a public address');
  return url;
}

function isAllowed(url: URL, allowedHosts: string): boolean {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  const names = [url.hostname, `${url.hostname}:${port}`];
  return allowedHosts.split(',').some((host) => names.includes(host.trim().toLowerCase()));
}

function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

/** Resolves to the response's head; rejects when none comes. */
function open(url: URL, options: SourceOptions): Promise<IncomingMessage> {
  const silenceMs = options.silenceMs ?? SILENCE_MS;
  return new Promise((resolve, reject) => {
    const call = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
      agent: false, // a kept connection would not be checked again
      headers: { 'accept-encoding': 'identity', 'user-agent': 'sparank' },
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
    call.end();
  });
}

/** Checks every address a name resolves to. The socket dials what this returns, so there is no second look to cheat. */
function guardedLookup(url: URL, options: SourceOptions): LookupFunction {
  const allowed = isAllowed(url, options.allowedHosts);
  return (hostname, settings, done) => {
    (options.resolve ?? lookup)(hostname, { ...settings, all: true }, (error, addresses) => {
      const first = addresses?.[0];
      if (error || !first) return done(error ?? new Error('no address'), '');
      if (!allowed && !addresses.every(({ address }) => isPublicAddress(address))) {
        return done(refused(url, 'resolves to an address that is not public'), '');
      }
      if (settings.all) done(null, addresses);
      else done(null, first.address, first.family);
    });
  };
}

function verified(response: IncomingMessage, url: URL, sha256: string, options: SourceOptions): Readable {
  const encoding = response.headers['content-encoding'] ?? 'identity';
  const bytes = Number(response.headers['content-length'] ?? 0);
  const fault =
    encoding !== 'identity'
      ? refused(url, `answered in the encoding ${encoding}`)
      : bytes > options.maxBytes
        ? new InputError('payload_too_large', `${describe(url)} is larger than ${options.maxBytes} bytes`)
        : undefined;
  if (fault) {
    response.destroy();
    throw fault;
  }
  const body = new VerifiedBody(options.maxBytes, sha256.toLowerCase(), describe(url));
  pipeline(response, body, () => undefined); // whoever reads the body sees the error
  return body;
}

class VerifiedBody extends Measure {
  constructor(
    maxBytes: number,
    readonly expected: string,
    readonly name: string,
  ) {
    super(maxBytes);
  }

  override _flush(done: TransformCallback): void {
    const { sha256 } = this.result();
    if (sha256 === this.expected) done();
    else done(new InputError('digest_mismatch', `${this.name} has the SHA-256 ${sha256}, not ${this.expected}`));
  }

  /** A connection that breaks half-way is worth another attempt. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const expected = error === null || error instanceof InputError || error instanceof InfrastructureError;
    super._destroy(
      expected || error.name === 'AbortError'
        ? error
        : new InfrastructureError('unavailable', `${this.name} broke off`, { cause: error }),
      done,
    );
  }
}

/** Without the query, which may hold a signature. */
function describe(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

function refused(url: URL, why: string): InputError {
  return new InputError('invalid_request', `the URL ${describe(url)} ${why}`);
}

function unreachable(url: URL, why: string, cause?: unknown): InfrastructureError {
  return new InfrastructureError('unavailable', `the URL ${describe(url)} ${why}`, { cause });
}
