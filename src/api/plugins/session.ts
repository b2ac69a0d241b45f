import { createHmac, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { UsableKey } from '../../database/records.js';
import type { KeyLookup } from './key-lookup.js';

/** A browser sends no header of its own, so an operator's key is traded for a cookie that is valid for an hour. */
export const SESSION_SECONDS = 3600;
/** The cookie goes to these paths only. */
export const SESSION_PATH = '/admin';
const NAME = 'sparank_admin';
const COOKIE = new RegExp(`(?:^|;\\s*)${NAME}=(key_[a-z0-9]+)\\.(\\d{1,12})\\.([\\w-]{43})(?:;|$)`);

/** Signed with the stored hash of the key: every API process can check it, and none once the key is revoked. */
const sign = (keyId: string, until: string, keyHash: string): string =>
  createHmac('sha256', keyHash).update(`${keyId}.${until}`).digest('base64url');

/** `Set-Cookie` for a key that may enter. Over TLS, which ends at a proxy, it never travels in the clear. */
export function sessionCookie(request: FastifyRequest, keyId: string, keyHash: string): string {
  const until = String(Math.floor(Date.now() / 1000) + SESSION_SECONDS);
  return cookie(request, `${keyId}.${until}.${sign(keyId, until, keyHash)}`, SESSION_SECONDS);
}

export const endedCookie = (request: FastifyRequest): string => cookie(request, '', 0);

function cookie(request: FastifyRequest, value: string, seconds: number): string {
  const secure = request.protocol === 'https' || request.headers['x-forwarded-proto'] === 'https';
  const attributes = [`Path=${SESSION_PATH}`, `Max-Age=${seconds}`, 'HttpOnly', 'SameSite=Strict'];
  return [`${NAME}=${value}`, ...attributes, ...(secure ? ['Secure'] : [])].join('; ');
}

/**
 * The key behind the cookie of a request; null without one, or when it is over.
 * @throws {InputError} when it is forged, or its key revoked
 */
export async function keyOfSession(request: FastifyRequest, keys: KeyLookup): Promise<UsableKey | null> {
  const [, keyId = '', until = '', mac = ''] = COOKIE.exec(request.headers.cookie ?? '') ?? [];
  if (keyId === '' || Number(until) * 1000 <= Date.now()) return null;
  const key = await keys.byId(request, keyId);
  if (key !== null && timingSafeEqual(Buffer.from(mac), Buffer.from(sign(keyId, until, key.hash)))) return key;
  throw await keys.refusal(request, 'the session has ended');
}
