const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** SHA-256 in hex; undefined where there is none: browsers have it for https and localhost only. */
export async function sha256(content: Uint8Array<ArrayBuffer> | ArrayBuffer): Promise<string | undefined> {
  const { subtle } = globalThis.crypto as { subtle?: Pick<typeof globalThis.crypto.subtle, 'digest'> };
  return subtle === undefined ? undefined : hex(new Uint8Array(await subtle.digest('SHA-256', content)));
}

/** A header that lets the service compare what arrived with what was sent. */
export const reprDigest = (sha256: string): string => {
  const bytes = sha256.match(/../g)?.map((pair) => String.fromCharCode(Number.parseInt(pair, 16))) ?? [];
  return `sha-256=:${btoa(bytes.join(''))}:`;
};

const RANDOM_BYTES = 16;

/** A key that no other call has; `crypto.randomUUID` is not there over plain http. */
export const randomKey = (): string => hex(globalThis.crypto.getRandomValues(new Uint8Array(RANDOM_BYTES)));
