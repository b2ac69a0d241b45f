import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call } from '../../api/call.js';
import type { Session } from '../../api/types.js';
import { SESSION_KEY } from '../../app/session.js';
import { Logo } from '../../app/logo.js';
import { Failure } from '../../ui/failure.js';

/** A key for a session: the browser keeps a cookie that no script can read, and not the key. */
export function Login() {
  const client = useQueryClient();
  const [key, setKey] = useState('');
  const login = useMutation({
    mutationFn: () => call<Session>('POST', '/session', { body: { key: key.trim() } }),
    onSuccess: (session) => client.setQueryData(SESSION_KEY, session),
  });
  return (
    <main className="login">
      <form
        className="login-card"
        onSubmit={(event) => {
          event.preventDefault();
          login.mutate();
        }}
      >
        <Logo />
        <h1>Log in</h1>
        <label className="field" htmlFor="key">
          <span className="field-name">API key</span>
          <input
            id="key"
            className="input mono"
            type="password"
            autoComplete="current-password"
            placeholder="spk_…"
            required
            value={key}
            onChange={(event) => setKey(event.target.value)}
          />
        </label>
        {login.error === null ? null : <Failure error={login.error} />}
        <button className="button primary wide" disabled={login.isPending || key.trim() === ''}>
          {login.isPending ? 'Logging in…' : 'Log in'}
        </button>
        <p className="muted small">
          The key that <code>npm start</code> printed, or one that an admin of your team made. This browser keeps a
          session of twelve hours, not the key.
        </p>
      </form>
    </main>
  );
}
