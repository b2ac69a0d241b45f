import { createBrowserRouter, Navigate, useRouteError } from 'react-router';
import { Failure } from '../ui/failure.js';
import { Loading } from '../ui/loading.js';
import { Layout } from './layout.js';
import { NotFound } from './not-found.js';

function Crash() {
  const error = useRouteError();
  return (
    <Failure
      title="This page failed"
      error={error instanceof Error ? error : new Error(String(error))}
      retry={() => window.location.reload()}
    />
  );
}

/** Each page is fetched when it is opened. */
const page = (load: () => Promise<{ default: React.ComponentType }>) => ({
  lazy: async () => ({ Component: (await load()).default }),
  HydrateFallback: () => <Loading what="page" />,
});

export const makeRouter = () =>
  createBrowserRouter(
    [
      {
        Component: Layout,
        ErrorBoundary: Crash,
        HydrateFallback: () => <Loading what="page" />,
        children: [
          {
            ErrorBoundary: Crash,
            children: [
              { index: true, Component: () => <Navigate to="/jobs" replace /> },
              { path: 'jobs', ...page(() => import('../pages/jobs/page.js')) },
              { path: 'jobs/:id', ...page(() => import('../pages/job/page.js')) },
              { path: 'submit', ...page(() => import('../pages/submit/page.js')) },
              { path: 'compare', ...page(() => import('../pages/compare/page.js')) },
              { path: 'pool', ...page(() => import('../pages/pool/page.js')) },
              { path: 'team', ...page(() => import('../pages/team/page.js')) },
              { path: 'admin', ...page(() => import('../pages/admin/page.js')) },
              { path: '*', Component: NotFound },
            ],
          },
        ],
      },
    ],
    { basename: '/ui' },
  );
