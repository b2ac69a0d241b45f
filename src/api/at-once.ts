import { InputError } from '../../errors.js';

const RETRY_SECONDS = 30;

/** Counts the event streams of each key that are open in this process: they outlive the minute that requests are counted by. */
export class OpenStreams {
  readonly #open = new Map<string, number>();

  constructor(readonly most: number) {}

  /**
   * One more; the caller calls what it gets when the stream is over.
   * @throws {InputError} too_many_requests
   */
  add(keyId: string): () => void {
    const open = this.#open.get(keyId) ?? 0;
    if (open >= this.most) {
      throw new InputError('too_many_requests', `STREAMS_PER_KEY: the key has ${open} event streams open; close some`, {
        retryAfterSeconds: RETRY_SECONDS,
      });
    }
    this.#open.set(keyId, open + 1);
    return () => {
      const left = (this.#open.get(keyId) ?? 1) - 1;
      if (left === 0) this.#open.delete(keyId);
      else this.#open.set(keyId, left);
    };
  }
}
