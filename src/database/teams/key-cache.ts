import { remembered } from '../connection/remembered.js';
import type { StoredKey } from '../records.js';
import type { KeyRepository, Notifications, TeamRepository } from '../repositories.js';

const KEYS = 10_000;
const TOPICS = ['keys'];

/** Keys that were good a moment ago: every request needs one. */
export function withKeyCache(
  { keys, teams }: { keys: KeyRepository; teams: TeamRepository },
  notifications: Notifications,
): { keys: KeyRepository; teams: TeamRepository } {
  const good = remembered<StoredKey>(notifications, KEYS);
  const clear = () => good.forget();

  const hasTime = ({ expiresAt }: StoredKey): boolean => expiresAt === null || expiresAt.getTime() > Date.now();

  async function lookFor(wanted: string, look: () => Promise<StoredKey | null>): Promise<StoredKey | null> {
    const key = await good.find(wanted, TOPICS, look);
    if (key === null || hasTime(key)) return key;
    good.forget(wanted);
    return look();
  }
  const find = (wanted: string, look: () => Promise<StoredKey | null>): Promise<StoredKey | null> => {
    const key = good.known(wanted);
    return key !== undefined && hasTime(key) ? Promise.resolve(key) : lookFor(wanted, look);
  };

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
