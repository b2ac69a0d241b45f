import { InputError } from '../../errors/index.js';

/** RFC 9530: `sha-256=:<base64>:`, perhaps among other algorithms. */
const SHA256 = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/]+={0,2}):\s*(?=,|$)/i;
const SHA256_BYTES = 32;

/** The hex digest that `Repr-Digest` announces, or null when it announces none that is known here. */
export function readReprDigest(header: string | undefined): string | null {
  if (header === undefined) return null;
  const bytes = Buffer.from(SHA256.exec(header)?.[1] ?? '', 'base64');
  if (bytes.length === SHA256_BYTES) return bytes.toString('hex');
  // Another algorithm may be ignored; a sha-256 that cannot be read may not.
  if (!/sha-256\s*=/i.test(header)) return null;
  const detail = 'Repr-Digest must be sha-256=:<base64 of 32 bytes>:';
  throw new InputError('invalid_request', detail, { faults: [{ pointer: '#header/repr-digest', detail }] });
}

export const formatReprDigest = (sha256: string): string =>
  `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`;
