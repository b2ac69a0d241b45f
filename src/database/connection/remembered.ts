import { LRUCache } from 'lru-cache';
import type { Notifications } from '../repositories.js';

/** A notification that is lost with its connection, or with the process that was to send it, costs this at most. */
const GOOD_MS = 1_000;

interface Entry<Value> {
  /** Undefined while it is looked for. */
  value: Value | undefined;
  look: Promise<Value | null>;
  until: number;
  stop: () => void;
}

export interface Remembered<Value> {
  /** What is remembered under the key, without a promise: most of what polls ask for is. */
  known(key: string): Value | undefined;
  /**
   * What was found for the key a moment ago, else what `look` finds now. That nothing is there (null) is never
   * remembered.
   *
   * @param topics whose notifications mean that it may be another one
   */
  find(key: string, topics: readonly string[], look: () => Promise<Value | null>): Promise<Value | null>;
  /** What this process changed itself, all without a key: its own changes are seen at once. */
  forget(key?: string): void;
}

/**
 * What many ask for again and again, in memory until the database notifies of a change, and for a second in any case.
 *
 * @param most entries; the least recently asked for are forgotten first
 */
export function remembered<Value extends object>(
  { subscribe }: Pick<Notifications, 'subscribe'>,
  most: number,
): Remembered<Value> {
  const entries = new LRUCache<string, Entry<Value>>({ max: most, dispose: ({ stop }) => stop() });
  const fresh = (key: string): Entry<Value> | undefined => {
    const entry = entries.get(key);
    return entry !== undefined && performance.now() < entry.until ? entry : undefined;
  };
  return {
    known: (key) => fresh(key)?.value,
    async find(key, topics, look) {
      const known = fresh(key);
      // Who asks while it is looked for waits for the same look: what changes meanwhile makes it be forgotten. That there
      // is nothing, everybody sees for himself.
      if (known !== undefined) return known.value ?? (await known.look) ?? look();
      // Subscribed before it is read, and kept only when nothing happened in between.
      const forget = () => void entries.delete(key);
      const stops = topics.map((topic) => subscribe(topic, forget));
      const stop = () => stops.forEach((one) => one());
      const until = performance.now() + GOOD_MS;
      const entry: Entry<Value> = { value: undefined, look: Promise.resolve().then(look), until, stop };
      entries.set(key, entry);
      const found = await entry.look.catch((error: unknown) => {
        if (entries.peek(key) === entry) entries.delete(key);
        throw error;
      });
      if (entries.peek(key) === entry) {
        if (found === null) entries.delete(key);
        else entry.value = found;
      }
      return found;
    },
    forget: (key) => (key === undefined ? entries.clear() : void entries.delete(key)),
  };
}
