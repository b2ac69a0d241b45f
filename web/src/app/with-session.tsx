import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { Login } from '../pages/login/login.js';
import { Failure } from '../ui/failure.js';
import { Loading } from '../ui/loading.js';
import { readSession, SESSION_KEY, SessionContext } from './session.js';

/** Everything behind the login. */
export function WithSession({ children }: { children: ReactNode }) {
  const { data, error, refetch } = useQuery({ queryKey: SESSION_KEY, queryFn: readSession, staleTime: 10 * 60_000 });
  if (error !== null) return <Failure error={error} retry={() => void refetch()} />;
  if (data === undefined) return <Loading what="session" />;
  if (data === null) return <Login />;
  return <SessionContext value={data}>{children}</SessionContext>;
}
