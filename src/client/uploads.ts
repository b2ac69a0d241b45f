import { reprDigest, sha256 } from './digest.js';
import { ServiceError } from './errors.js';
import type { Body, Transport } from './transport.js';
import type { Upload } from './types.js';

/** A file that can be sent more than once. */
export interface FileToSend {
  filename: string;
  bytes: number;
  /** Hex; the service keeps content once. */
  sha256?: string | undefined;
  body: () => Body;
}

export type Content = Blob | ArrayBuffer | Uint8Array<ArrayBuffer>;

/** Larger ones are not read into memory only to be hashed. */
const HASHED_BYTES = 2 ** 29;
/** What expires sooner is sent again, which makes it last. */
const LASTS_MS = 3600_000;

export async function fileFrom(content: Content, filename: string): Promise<FileToSend> {
  if (!(content instanceof Blob)) {
    return { filename, bytes: content.byteLength, sha256: await sha256(content), body: () => content };
  }
  const hash = content.size > HASHED_BYTES ? undefined : await sha256(await content.arrayBuffer());
  const name = 'name' in content && typeof content.name === 'string' ? content.name : filename;
  return { filename: name, bytes: content.size, sha256: hash, body: () => content };
}

export class Uploads {
  readonly #transport: Transport;
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Sends a file unless the service has its content already. */
  async send(file: FileToSend, signal?: AbortSignal): Promise<Upload> {
    return (await this.#known(file, signal)) ?? (await this.#send(file, signal));
  }

  async get(id: string, signal?: AbortSignal): Promise<Upload> {
    return this.#transport.json(`/uploads/${encodeURIComponent(id)}`, { signal });
  }

  async remove(id: string, signal?: AbortSignal): Promise<void> {
    await this.#transport.send(`/uploads/${encodeURIComponent(id)}`, { method: 'DELETE', signal });
  }

  async #known({ sha256 }: FileToSend, signal?: AbortSignal): Promise<Upload | null> {
    if (sha256 === undefined) return null;
    try {
      const upload = await this.get(`sha256:${sha256}`, signal);
      return Date.parse(upload.expires_at) - Date.now() > LASTS_MS ? upload : null;
    } catch (error) {
      // A key that may only write cannot ask.
      if (error instanceof ServiceError && [403, 404].includes(error.status)) return null;
      throw error;
    }
  }

  #send({ filename, bytes, sha256, body }: FileToSend, signal?: AbortSignal): Promise<Upload> {
    return this.#transport.json(`/uploads?${new URLSearchParams({ filename }).toString()}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(bytes),
        ...(sha256 === undefined ? {} : { 'repr-digest': reprDigest(sha256) }),
      },
      body,
      signal,
      // The same content is stored once.
      safe: true,
    });
  }
}
