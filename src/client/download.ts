import { ClientError, ConnectionError } from './errors.js';
import type { Transport } from './transport.js';
import type { Artifact } from './types.js';
import { pause } from './waiting.js';

export interface DownloadOptions {
  /** Bytes that are there already. */
  from?: number;
  signal?: AbortSignal | undefined;
  /** Told how many of the bytes are there. */
  onBytes?: ((done: number, total: number) => void) | undefined;
}

const PARTIAL = 206;
/** Connections in a row that may break without a byte. */
const BARREN = 5;
const AGAIN_MS = 500;

async function* chunks(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/**
 * The bytes of an artifact from `from` on. A connection that breaks is opened again where it broke: an artifact never
 * changes. The caller compares the hash.
 */
export async function* download(
  transport: Transport,
  { url, bytes, name }: Pick<Artifact, 'url' | 'bytes' | 'name'>,
  { from = 0, signal, onBytes }: DownloadOptions = {},
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let at = from;
  for (let barren = 0; at < bytes; barren++) {
    const before = at;
    const response = await transport.send(url, {
      headers: at === 0 ? {} : { range: `bytes=${String(at)}-` },
      signal,
    });
    if (response.body === null) throw new ClientError(`${name} came without content`);
    // Whoever answers with the whole file, as a store behind a redirect may, has its beginning passed over.
    let over = at > 0 && response.status !== PARTIAL ? at : 0;
    let broken: unknown;
    try {
      for await (const chunk of chunks(response.body as ReadableStream<Uint8Array<ArrayBuffer>>)) {
        const fresh = chunk.subarray(Math.min(over, chunk.length));
        over -= chunk.length - fresh.length;
        if (fresh.length === 0) continue;
        at += fresh.length;
        yield fresh;
        onBytes?.(at, bytes);
      }
    } catch (error) {
      signal?.throwIfAborted();
      broken = error;
    }
    if (at > bytes) throw new ClientError(`${name} has more than the ${String(bytes)} bytes that were announced`);
    if (at > before) barren = 0;
    if (at < bytes && barren >= BARREN)
      throw new ConnectionError(`${name} broke off at byte ${String(at)} of ${String(bytes)}`, { cause: broken });
    if (at < bytes) await pause(AGAIN_MS, signal);
  }
}
