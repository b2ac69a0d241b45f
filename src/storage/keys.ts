import { randomUUID } from 'node:crypto';
import { InputError } from '../errors/index.js';

const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/;
/** S3's own limit. */
const MAX_KEY_LENGTH = 1024;

/**
 * @throws {InputError} unless `key` is a relative path of plain segments: no traversal, no hidden names, no escapes.
 */
export function checkKey(key: string): void {
  if (key.length > MAX_KEY_LENGTH || !key.split('/').every((segment) => SEGMENT.test(segment))) {
    throw new InputError('invalid_request', `${JSON.stringify(key.slice(0, 80))} is not a storage key`);
  }
}

/** A prefix is a key, a key with a `/` at its end, or (to list everything) the empty string. */
export function checkPrefix(prefix: string): void {
  if (prefix !== '') checkKey(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix);
}

/** Where the readiness check writes; a random name lets replicas check at the same time. */
export function healthKey(): string {
  return `health/${randomUUID()}`;
}

export function missing(key: string): InputError {
  return new InputError('not_found', `there is no stored file ${key}`);
}

export function unsatisfiable(key: string): InputError {
  return new InputError('invalid_request', `the range is outside the stored file ${key}`);
}
