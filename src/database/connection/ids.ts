import { randomBytes } from 'node:crypto';

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';
const LENGTH = 20;
/** Milliseconds since 1970 in as many digits of 36: enough until the year 5188. */
const TIME_LENGTH = 9;
/**
 * Of rows that come by the million: new ones lie side by side in the indexes, and not each in a page of its own that is
 * to be read and logged.
 */
const BY_TIME = new Set(['job', 'tsk']);

/**
 * An opaque id with a prefix: `upl_4k2…`. 20 characters of 36 are 103 bits; an id that begins with the time has 56
 * beside it.
 */
export function newId(
  prefix: 'job' | 'tsk' | 'upl' | 'team' | 'key' | 'wrk' | 'idm' | 'msg' | 'whs' | 'ins' | 'sto',
): string {
  let id = `${prefix}_${BY_TIME.has(prefix) ? Date.now().toString(36).padStart(TIME_LENGTH, '0') : ''}`;
  while (id.length < prefix.length + 1 + LENGTH) {
    // 252 = 7 * 36: larger bytes would make some characters likelier.
    for (const byte of randomBytes(LENGTH)) {
      if (byte < 252 && id.length < prefix.length + 1 + LENGTH) id += ALPHABET[byte % 36] ?? '';
    }
  }
  return id;
}
