import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';
import type { Config } from '../../config/index.js';
import { ANSWER_HEADERS } from '../openapi/headers.js';

const PREFLIGHT_SECONDS = 600;

/**
 * Pages of other origins that `CORS_ORIGINS` names may call with a key of theirs. Never with credentials: a session
 * belongs to the pages that this service serves. Comes before keys are looked at, because a preflight brings none.
 */
export async function registerCrossOrigin(app: FastifyInstance, { CORS_ORIGINS }: Pick<Config, 'CORS_ORIGINS'>) {
  const origins = CORS_ORIGINS.split(',').flatMap((origin) => (origin.trim() === '' ? [] : [origin.trim()]));
  if (origins.length === 0) return;
  app.addHook('onRoute', (route) => {
    // That of the plugin, which answers preflights.
    if (route.method === 'OPTIONS' && route.url === '*') route.config = { ...route.config, scope: 'public' };
  });
  await app.register(cors, {
    origin: origins.includes('*') ? '*' : origins,
    credentials: false,
    methods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
    exposedHeaders: Object.keys(ANSWER_HEADERS),
    maxAge: PREFLIGHT_SECONDS,
  });
}
