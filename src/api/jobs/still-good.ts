import type { KeyRepository } from '../../database/repositories.js';

/** How long a key that was good is taken to be, at a time when one look follows the other closely. */
const KEY_IS_GOOD_MS = 1_000;

/**
 * Tells whether the key of a request that goes on for long, and was let in just now, would still be let in. Without
 * `exactly` the answer may be a second old.
 */
export function stillGood(
  keys: Pick<KeyRepository, 'findById'>,
  keyId: string,
): (when?: 'exactly') => Promise<boolean> {
  let looked = Date.now();
  return async (when) => {
    if (when !== 'exactly' && Date.now() - looked < KEY_IS_GOOD_MS) return true;
    looked = Date.now();
    return (await keys.findById(keyId)) !== null;
  };
}
