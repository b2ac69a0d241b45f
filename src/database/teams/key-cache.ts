import { LRUCache } from 'lru-cache';
import type { StoredKey } from '../records.js';
import type { KeyRepository, Notifications, TeamRepository } from '../repositories.js';

/** A notification that is lost with its connection costs this at most. */
const GOOD_MS = 1_000;
const KEYS = 10_000;

/**
 * Keys that were good a moment ago: every request needs one. A process forgets them at once when it changes one itself,
 * when the database notifies of a change by another, and after a second in any case. That a key is not there is never
 * remembered.
 */
export function withKeyCache(
  { keys, teams }: { keys: KeyRepository; teams: TeamRepository },
  notifications: Notifications,
): { keys: KeyRepository; teams: TeamRepository } {
  const good = new LRUCache<string, StoredKey>({ max: KEYS, ttl: GOOD_MS, ttlResolution: 0 });
  /** A look that began before a change must not be kept after it. */
  let changes = 0;
  const clear = () => {
    changes++;
    good.clear();
  };
  let subscribed = false;

  async function find(wanted: string, look: () => Promise<StoredKey | null>): Promise<StoredKey | null> {
    // Not before there is a need: processes without an interface look for no keys.
    if (!subscribed) notifications.subscribe('keys', clear);
    subscribed = true;
    const known = good.get(wanted);
    if (known !== undefined && (known.expiresAt === null || known.expiresAt.getTime() > Date.now())) return known;
    const before = changes;
    const key = await look();
    if (key !== null && changes === before) good.set(wanted, key);
    return key;
  }

  return {
    keys: {
      ...keys,
      findByHash: (hash) => find(hash, () => keys.findByHash(hash)),
      findById: (keyId) => find(keyId, () => keys.findById(keyId)),
      revoke: (...revoked) => keys.revoke(...revoked).finally(clear),
    },
    teams: {
      ...teams,
      update: (...changed) => teams.update(...changed).finally(clear),
      close: (...closed) => teams.close(...closed).finally(clear),
    },
  };
}
