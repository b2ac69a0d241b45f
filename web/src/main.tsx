import { QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { setNonce } from 'get-nonce';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { RouterProvider } from 'react-router/dom';
import { ApiError } from './api/call.js';
import { makeRouter } from './app/routes.js';
import { SESSION_KEY } from './app/session.js';
import { applyTheme } from './app/theme.js';
import { WithSession } from './app/with-session.js';
import './styles/tokens.css';
import './styles/base.css';
import './styles/layout.css';
import './styles/controls.css';
import './styles/blocks.css';

applyTheme();
setNonce(document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.content ?? '');
if (!window.location.pathname.startsWith('/ui/'))
  window.history.replaceState(null, '', `/ui/jobs${window.location.search}${window.location.hash}`);

// An address that logs in, opened where the dashboard is open already, is only another `#` to the browser.
window.addEventListener('hashchange', () => {
  if (window.location.hash.startsWith('#key=')) window.location.reload();
});

/** The client's own faults do not go away by asking again. */
const mayPass = (error: Error): boolean => !(error instanceof ApiError) || error.status === 0 || error.status >= 500;

const client: QueryClient = new QueryClient({
  queryCache: new QueryCache({
    onError: (error) => {
      // The session is over: the login comes instead of the pages.
      if (error instanceof ApiError && error.status === 401) client.setQueryData(SESSION_KEY, null);
    },
  }),
  defaultOptions: { queries: { retry: (failures, error) => failures < 2 && mayPass(error), staleTime: 2_000 } },
});

const router = makeRouter();
const root = document.getElementById('root');
if (root !== null)
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <WithSession>
          <RouterProvider router={router} />
        </WithSession>
      </QueryClientProvider>
    </StrictMode>,
  );
