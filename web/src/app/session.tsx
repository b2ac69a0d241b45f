import { useQueryClient } from '@tanstack/react-query';
import { createContext, useContext } from 'react';
import { ApiError, call, get } from '../api/call.js';
import type { Scope, Session } from '../api/types.js';

export const SESSION_KEY = ['session'];

/**
 * The address that `npm start` and `npm run demo` print brings the key behind the `#`, which browsers send to nobody.
 */
async function logInByAddress(): Promise<void> {
  const key = /^#key=([\x21-\x7e]+)$/.exec(window.location.hash)?.[1];
  if (key === undefined) return;
  window.history.replaceState(null, '', window.location.pathname + window.location.search);
  await call('POST', '/session', { body: { key } });
}

export async function readSession(): Promise<Session | null> {
  try {
    await logInByAddress();
    return await get<Session>('/session');
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return null;
    throw error;
  }
}

export const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error('outside of the session');
  return session;
}

/** What the key may not do is not offered. */
export function useCan(): (scope: Scope | 'manage') => boolean {
  const { scopes } = useSession().key;
  return (scope) =>
    scope === 'manage' ? scopes.includes('team:admin') || scopes.includes('admin') : scopes.includes(scope);
}

export function useLogout(): () => Promise<void> {
  const client = useQueryClient();
  return async () => {
    await call('DELETE', '/session');
    client.clear();
    window.location.assign('/');
  };
}
