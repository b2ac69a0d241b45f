import { createHash } from 'node:crypto';
import { Transform, type Readable, type TransformCallback, type Writable } from 'node:stream';
import { InputError } from '../errors/index.js';

/** Passes bytes through, counts and hashes them, and refuses more than `maxBytes`. */
export class Measure extends Transform {
  bytes = 0;
  private readonly hash = createHash('sha256');

  constructor(readonly maxBytes: number) {
    super();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.bytes += chunk.length;
    if (this.bytes > this.maxBytes) {
      done(new InputError('payload_too_large', `the body is larger than ${this.maxBytes} bytes`));
      return;
    }
    this.hash.update(chunk);
    done(null, chunk);
  }

  result(): { bytes: number; sha256: string } {
    return { bytes: this.bytes, sha256: this.hash.digest('hex') };
  }
}

/**
 * Remembers whether the body itself failed: a client that hangs up or sends too much is not a storage failure.
 * A body that is destroyed because `next`, the stream it flows into, failed has not failed itself.
 * The listener also keeps a body that fails before anything reads it from ending the process.
 */
export function watchBody(body: Readable, next: Writable): { failure: () => Error | undefined } {
  let failure: Error | undefined = body.errored ?? undefined;
  body.once('error', (error) => {
    if (!next.destroyed) failure ??= error;
  });
  body.once('close', () => {
    if (next.destroyed || body.readableEnded) return;
    failure ??= new InputError('invalid_request', 'the body ended before it was complete');
  });
  return { failure: () => failure };
}
