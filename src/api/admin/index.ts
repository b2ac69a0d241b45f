import { createBullBoard } from '@bull-board/api';
import { FastifyAdapter } from '@bull-board/fastify';
import type { FastifyPluginAsync } from 'fastify';
import { InputError, SparankError } from '../../errors/index.js';
import { hashKey } from '../plugins/auth.js';
import type { RouteOptions } from '../deps.js';
import { loginPage } from './login-page.js';
import { BOARD_SESSION, endedCookie, sessionCookie } from '../plugins/session.js';

const BOARD = '/admin/queues';
const LOGIN = '/admin/login';
const FORM_BYTES = 2048;

/** The board's own style attributes; nothing from other hosts, and no framing. */
const POLICY =
  "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; " +
  "base-uri 'self'; form-action 'self'; frame-ancestors 'none'";

/** Bull Board over the queue, to look at: jobs are changed through the interface, not behind the back of PostgreSQL. */
export const adminRoutes: FastifyPluginAsync<RouteOptions> = async (app, { deps }) => {
  app.addHook('onSend', async (_request, reply) => {
    reply.header('Content-Security-Policy', POLICY).header('Cache-Control', 'no-store');
  });
  await app.register(async (login) => {
    login.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string', bodyLimit: FORM_BYTES },
      (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(String(body)))),
    );
    const hidden = { config: { scope: 'public' as const }, schema: { hide: true } };
    login.get(LOGIN, hidden, async (_request, reply) => reply.type('text/html; charset=utf-8').send(loginPage()));
    login.post<{ Body: { key?: unknown } | null | undefined }>(LOGIN, hidden, async (request, reply) => {
      const given = request.body?.key;
      const hash = hashKey(typeof given === 'string' ? given.trim() : '');
      const key = await deps.keyLookup.byHash(request, hash);
      if (key === null || !key.scopes.includes('admin')) {
        request.log.warn('a login to the dashboard was refused');
        const refusal =
          key === null
            ? await deps.keyLookup.refusal(request, 'The key is unknown, revoked or expired.')
            : new InputError('forbidden', 'The key lacks the scope admin.');
        if (refusal.retryAfterSeconds !== undefined) reply.header('Retry-After', refusal.retryAfterSeconds);
        return reply.code(refusal.status).type('text/html; charset=utf-8').send(loginPage(refusal.message));
      }
      const actor = { keyId: key.id, keyPrefix: key.prefix, teamId: key.teamId };
      await deps.database.audit.note(
        { action: 'dashboard.login', teamId: null, subject: key.id },
        { ...actor, requestId: request.id, address: request.ip },
      );
      return reply.header('Set-Cookie', sessionCookie(request, BOARD_SESSION, key)).redirect(`${BOARD}/`, 303);
    });
    login.post('/admin/logout', hidden, async (request, reply) =>
      reply.header('Set-Cookie', endedCookie(request, BOARD_SESSION)).redirect(LOGIN, 303),
    );
    login.get('/admin', hidden, async (_request, reply) => reply.redirect(`${BOARD}/`, 303));
  });

  const serverAdapter = new FastifyAdapter();
  const { replaceQueues } = createBullBoard({
    queues: deps.queue.boards(),
    serverAdapter,
    options: {
      uiConfig: {
        boardTitle: 'Sparank queue',
        hideDocsLink: true,
        showMetrics: false,
        miscLinks: [{ text: 'API', url: '/docs' }],
      },
    },
  });
  serverAdapter.setBasePath(BOARD);
  serverAdapter.setErrorHandler((error) => {
    if (!(error instanceof SparankError)) deps.logger.error({ err: error }, 'the dashboard failed');
    const known = error instanceof SparankError ? error : new SparankError('internal', 'see the log');
    // Its type lists the few codes that the board itself answers with.
    return { status: known.status as 500, body: { code: known.code, title: known.title, detail: known.message } };
  });
  await app.register(
    async (board) => {
      board.addHook('onRoute', (route) => {
        route.config = { ...route.config, scope: 'admin', login: LOGIN };
      });
      board.addHook('onRequest', async (request) => {
        if (request.method === 'GET' || request.method === 'HEAD') return;
        throw new InputError('forbidden', 'the dashboard is for looking; change jobs through the interface');
      });
      // Workers come and go, and with them the queues.
      board.addHook('onRequest', async (request) => {
        if (!request.url.startsWith(`${BOARD}/api/`)) return;
        const { classes } = await deps.database.pool.overview();
        replaceQueues(deps.queue.boards(classes.map(({ name }) => name)));
      });
      await board.register(serverAdapter.registerPlugin());
    },
    { prefix: BOARD },
  );
};
