import { InfrastructureError } from '../../errors/index.js';
import type { KeyRepository } from '../../database/repositories.js';

/** How long a key that was good is taken to be, at a time when one look follows the other closely. */
const KEY_IS_GOOD_MS = 1_000;

/**
 * Tells whether the key of a request that goes on for long, and was let in just now, would still be let in. Without
 * `exactly` the answer may be a second old, or older while the database does not answer: a stream outlives that, and
 * has nothing to tell meanwhile.
 */
export function stillGood(
  keys: Pick<KeyRepository, 'findById'>,
  keyId: string,
): (when?: 'exactly') => Promise<boolean> {
  let looked = Date.now();
  return async (when) => {
    if (when !== 'exactly' && Date.now() - looked < KEY_IS_GOOD_MS) return true;
    looked = Date.now();
    try {
      return (await keys.findById(keyId)) !== null;
    } catch (error) {
      if (when !== 'exactly' && error instanceof InfrastructureError) return true;
      throw error;
    }
  };
}
