import { hash } from 'node:crypto';
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify';
import type { KeyRepository } from '../../database/repositories.js';
import type { Scope, UsableKey } from '../../database/records.js';
import type { KeyLookup } from './key-lookup.js';
import { refuseForged } from './same-origin.js';
import { BOARD_SESSION, openSession, PAGE_SESSION } from './session.js';
import { InputError, InfrastructureError } from '../../errors/index.js';
import { prefers } from '../negotiate.js';
import { PROBLEM_TYPE } from '../problem.js';

/** Who calls: every repository method takes the team from here. */
export interface Caller {
  teamId: string;
  keyId: string;
  /** Beginning of the key, to recognise it by. */
  keyPrefix: string;
  scopes: Scope[];
  /** The team's limit; null: the setting of the service. */
  requestsPerMinute: number | null;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a key must be allowed to do: one of these. Every route says it; the app does not start otherwise. */
    scope?: Scope | readonly [Scope, ...Scope[]] | 'public';
    /** A page for browsers: they may bring an operator's cookie, too, and are sent here without one. */
    login?: string;
  }
  interface FastifyRequest {
    caller: Caller | null;
  }
}

export const hashKey = (key: string): string => hash('sha256', key, 'hex');

const SEND_A_KEY = 'send the header "Authorization: Bearer <API key>"';
export const NOT_VALID = 'the API key is unknown, revoked or expired';
const BEARER = /^Bearer +([\x21-\x7e]{1,512})$/i;

type Touch = Pick<KeyRepository, 'touch'>;

/** A browser brings a cookie instead of a key. */
async function sessionOf(request: FastifyRequest, lookup: KeyLookup): Promise<UsableKey | null> {
  if (request.routeOptions.config.login !== undefined) {
    const board = await openSession(request, BOARD_SESSION, lookup);
    if (board !== null) return board.key;
  }
  const session = await openSession(request, PAGE_SESSION, lookup);
  if (session !== null) refuseForged(request);
  return session?.key ?? null;
}

async function identify(request: FastifyRequest, keys: Touch, lookup: KeyLookup): Promise<Caller> {
  const session = request.headers.authorization === undefined ? await sessionOf(request, lookup) : null;
  if (session !== null) {
    touch(request, keys, session);
    return callerOf(session);
  }
  const header = request.headers.authorization;
  if (header === undefined) throw new InputError('unauthorized', SEND_A_KEY);
  const key = BEARER.exec(header)?.[1];
  if (key === undefined) throw await lookup.refusal(request, SEND_A_KEY);
  const record = await lookup.byHash(request, hashKey(key));
  if (record === null) throw await lookup.refusal(request, NOT_VALID);
  touch(request, keys, record);
  return callerOf(record);
}

function touch(request: FastifyRequest, keys: Touch, key: UsableKey): void {
  keys.touch(key).catch((error: unknown) => request.log.warn({ err: error }, 'the use of a key was not noted'));
}

const callerOf = ({ id, teamId, prefix, scopes, requestsPerMinute }: UsableKey): Caller => ({
  teamId,
  keyId: id,
  keyPrefix: prefix,
  scopes,
  requestsPerMinute,
});

/** Checked before the body is read, so that nobody without a key can make the service read one. */
export function registerAuth(app: FastifyInstance, keys: Touch, lookup: KeyLookup): void {
  const routes: RouteOptions[] = [];
  app.decorateRequest('caller', null);
  app.addHook('onRoute', (route) => void routes.push(route));
  app.addHook('onReady', async () => {
    const open = routes.filter((route) => route.config?.scope === undefined);
    if (open.length > 0) {
      throw new Error(`routes without a scope: ${open.map((r) => `${String(r.method)} ${r.url}`).join(', ')}`);
    }
  });
  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) return;
    const { scope, login } = request.routeOptions.config;
    if (scope === 'public') return;
    try {
      request.caller = await identify(request, keys, lookup);
    } catch (error) {
      const isPage = login !== undefined && prefers(request, 'text/html', PROBLEM_TYPE);
      if (isPage && error instanceof InputError && error.code === 'unauthorized') return reply.redirect(login, 303);
      throw error;
    }
    const { scopes } = request.caller;
    const accepted: readonly Scope[] = scope === undefined ? [] : typeof scope === 'string' ? [scope] : scope;
    if (!accepted.some((one) => scopes.includes(one))) {
      throw new InputError(
        'forbidden',
        `this call needs the scope ${accepted.join(' or ')}; the key has ${scopes.join(', ')}`,
      );
    }
  });
}

export function callerFrom(request: FastifyRequest): Caller {
  if (request.caller === null) throw new InfrastructureError('internal', 'a public route has no caller');
  return request.caller;
}

export const teamOf = (request: FastifyRequest): string => callerFrom(request).teamId;
