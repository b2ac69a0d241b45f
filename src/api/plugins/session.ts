import { createHmac, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { StoredKey } from '../../database/records.js';
import type { KeyLookup } from './key-lookup.js';

/** A browser sends no header of its own, so a key is traded for a cookie. Each kind goes to its own paths only. */
export interface SessionKind {
  name: string;
  path: string;
  seconds: number;
}

/** The board of the queue: for operators, and for an hour. */
export const BOARD_SESSION: SessionKind = { name: 'sparank_admin', path: '/admin', seconds: 3600 };
/** The dashboard: a working day. */
export const PAGE_SESSION: SessionKind = { name: 'sparank_session', path: '/', seconds: 12 * 3600 };

const TOKEN = /^(key_[a-z0-9]+)\.(\d{1,12})\.([\w-]{43})$/;

/** Signed with the stored hash of the key: every API process can check it, and none once the key is revoked. */
const sign = (kind: SessionKind, keyId: string, until: string, keyHash: string): string =>
  createHmac('sha256', keyHash).update(`${kind.name}.${keyId}.${until}`).digest('base64url');

/** `Set-Cookie` for a key that may enter. Over TLS, which ends at a proxy, it never travels in the clear. */
export function sessionCookie(request: FastifyRequest, kind: SessionKind, key: { id: string; hash: string }): string {
  const until = String(Math.floor(Date.now() / 1000) + kind.seconds);
  return cookie(request, kind, {
    value: `${key.id}.${until}.${sign(kind, key.id, until, key.hash)}`,
    age: kind.seconds,
  });
}

export const endedCookie = (request: FastifyRequest, kind: SessionKind): string =>
  cookie(request, kind, { value: '', age: 0 });

function cookie(request: FastifyRequest, kind: SessionKind, { value, age }: { value: string; age: number }): string {
  const secure = request.protocol === 'https' || request.headers['x-forwarded-proto'] === 'https';
  const attributes = [`Path=${kind.path}`, `Max-Age=${age}`, 'HttpOnly', 'SameSite=Strict'];
  return [`${kind.name}=${value}`, ...attributes, ...(secure ? ['Secure'] : [])].join('; ');
}

/** Names and values of a `Cookie` header; the first of a name counts, as for browsers the one with the longest path. */
function valueOf(header: string, name: string): string | undefined {
  const pair = header.split(';').find((one) => one.trimStart().startsWith(`${name}=`));
  return pair?.trim().slice(name.length + 1);
}

export interface OpenSession {
  key: StoredKey;
  until: Date;
}

/**
 * The key behind the cookie of a request; null without one, or when it is over.
 * @throws {InputError} when it is forged, or its key revoked
 */
export async function openSession(
  request: FastifyRequest,
  kind: SessionKind,
  keys: KeyLookup,
): Promise<OpenSession | null> {
  const token = valueOf(request.headers.cookie ?? '', kind.name);
  const [, keyId = '', until = '', mac = ''] = TOKEN.exec(token ?? '') ?? [];
  if (keyId === '' || Number(until) * 1000 <= Date.now()) return null;
  const key = await keys.byId(request, keyId);
  if (key !== null && timingSafeEqual(Buffer.from(mac), Buffer.from(sign(kind, keyId, until, key.hash))))
    return { key, until: new Date(Number(until) * 1000) };
  throw await keys.refusal(request, 'the session has ended');
}
