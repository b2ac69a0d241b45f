import { InputError } from '../errors/index.js';

/**
 * Counts what lasts long, for each key or team, in this process: it outlives the minute that requests are counted by.
 */
export class AtOnce {
  private readonly open = new Map<string, number>();

  /** `setting` has `most` as its value; `what` completes "N …". */
  constructor(
    readonly most: number,
    readonly text: { setting: string; what: string },
    readonly retrySeconds: number,
  ) {}

  /**
   * One more; the caller calls what it gets when that is over.
   * @throws {InputError} too_many_requests
   */
  add(id: string): () => void {
    const open = this.open.get(id) ?? 0;
    if (open >= this.most) {
      throw new InputError('too_many_requests', `${this.text.setting}: ${open} ${this.text.what}`, {
        retryAfterSeconds: this.retrySeconds,
      });
    }
    this.open.set(id, open + 1);
    return () => {
      const left = (this.open.get(id) ?? 1) - 1;
      if (left === 0) this.open.delete(id);
      else this.open.set(id, left);
    };
  }
}
