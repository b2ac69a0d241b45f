import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { InputError } from '../../errors/index.js';

/** Where the build leaves the pages; the second one when this file runs from its source. */
const PLACES = ['../../web/', '../../../dist/web/'].map((path) => fileURLToPath(new URL(path, import.meta.url)));
const PREFIX = '/ui/';
const NONCE = '__NONCE__';
const YEAR_MS = 365 * 24 * 3600_000;

/**
 * Nothing from elsewhere, nothing inline; the nonce is for the style element that keeps the page still behind a dialog.
 */
const policy = (nonce: string): string =>
  [
    "default-src 'self'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ');

/** The dashboard: one page for all of its addresses, and its files, whose names change with their content. */
export const webRoutes: FastifyPluginAsync = async (app) => {
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, scope: 'public' };
    route.schema = { ...route.schema, hide: true };
  });
  const root = PLACES.find((place) => existsSync(join(place, 'index.html')));
  const page = root === undefined ? null : await readFile(join(root, 'index.html'), 'utf8');

  const show = async (_request: FastifyRequest, reply: FastifyReply) => {
    if (page === null) throw new InputError('not_found', 'the dashboard is not built: run `npm run build`');
    const nonce = randomBytes(16).toString('base64url');
    return reply
      .header('Content-Security-Policy', policy(nonce))
      .header('Cache-Control', 'no-store')
      .type('text/html; charset=utf-8')
      .send(page.replaceAll(NONCE, nonce));
  };
  app.get('/', show);
  app.get(`${PREFIX}*`, show);
  if (root === undefined) return;
  await app.register(fastifyStatic, {
    root: join(root, 'assets'),
    prefix: `${PREFIX}assets/`,
    preCompressed: true,
    index: false,
    immutable: true,
    maxAge: YEAR_MS,
  });
};
