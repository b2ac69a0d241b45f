import { randomBytes } from 'node:crypto';

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';
const LENGTH = 20;

/** An opaque id with a prefix: `job_4k2…`. 20 characters of 36 are 103 bits. */
export function newId(
  prefix: 'job' | 'tsk' | 'upl' | 'team' | 'key' | 'wrk' | 'idm' | 'msg' | 'whs' | 'ins' | 'sto',
): string {
  let id = `${prefix}_`;
  while (id.length < prefix.length + 1 + LENGTH) {
    // 252 = 7 * 36: larger bytes would make some characters likelier.
    for (const byte of randomBytes(LENGTH)) {
      if (byte < 252 && id.length < prefix.length + 1 + LENGTH) id += ALPHABET[byte % 36] ?? '';
    }
  }
  return id;
}
