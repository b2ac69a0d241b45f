import type { IncomingMessage } from 'node:http';
import { pipeline, type Readable, type TransformCallback } from 'node:stream';
import { InfrastructureError, InputError } from '../errors/index.js';
import {
  callOutbound,
  checkOutboundUrl,
  describeUrl,
  refused,
  unreachable,
  type OutboundOptions,
} from './guarded-request.js';
import { Measure } from '../storage/measured-body.js';

const MAX_REDIRECTS = 5;
const REDIRECTS = [301, 302, 303, 307, 308];

export interface SourceOptions extends OutboundOptions {
  maxBytes: number;
}

/**
 * Opens what `url` names. The stream fails with `payload_too_large` over `maxBytes`, and at its end with
 * `digest_mismatch` unless the content has the SHA-256 `sha256` (hex).
 * @throws {InputError} for a URL that may not be fetched or does not answer 200
 * @throws {InfrastructureError} when the server cannot be reached or fails: another attempt may help
 */
export async function downloadSource(url: string, sha256: string, options: SourceOptions): Promise<Readable> {
  let at = checkOutboundUrl(url, options.allowedHosts);
  for (let redirects = 0; ; redirects++) {
    const response = await callOutbound(at, { method: 'GET', headers: { 'accept-encoding': 'identity' } }, options);
    const status = response.statusCode ?? 0;
    if (status === 200) return verified(response, at, sha256, options);
    response.destroy();
    const { location } = response.headers;
    if (REDIRECTS.includes(status) && location !== undefined) {
      if (redirects === MAX_REDIRECTS) throw refused(at, `redirects more than ${MAX_REDIRECTS} times`);
      if (!URL.canParse(location, at.href)) throw refused(at, 'redirects to something that is not a URL');
      at = checkOutboundUrl(new URL(location, at).href, options.allowedHosts);
    } else if (status >= 500 || status === 429 || status === 408) {
      throw unreachable(at, `answered ${status}`);
    } else {
      throw refused(at, `answered ${status}`);
    }
  }
}

function verified(response: IncomingMessage, url: URL, sha256: string, options: SourceOptions): Readable {
  const encoding = response.headers['content-encoding'] ?? 'identity';
  const bytes = Number(response.headers['content-length'] ?? 0);
  const fault =
    encoding !== 'identity'
      ? refused(url, `answered in the encoding ${encoding}`)
      : bytes > options.maxBytes
        ? new InputError('payload_too_large', `${describeUrl(url)} is larger than ${options.maxBytes} bytes`)
        : undefined;
  if (fault) {
    response.destroy();
    throw fault;
  }
  const body = new VerifiedBody(options.maxBytes, sha256.toLowerCase(), describeUrl(url));
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
