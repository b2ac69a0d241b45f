import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { registerAuth } from '../../src/api/plugins/auth.js';
import type { KeyLookup } from '../../src/api/plugins/key-lookup.js';
import type { KeyRepository } from '../../src/database/repositories.js';

/** No route here gets as far as a key. */
const keys = {} as KeyRepository;
const lookup = {} as KeyLookup;

test('the app does not start with a route that declares no scope', async () => {
  const app = Fastify();
  registerAuth(app, keys, lookup);
  app.get('/open', { config: { scope: 'public' } }, async () => 'ok');
  app.get('/forgotten', async () => 'oops');
  await expect(app.ready()).rejects.toThrow('routes without a scope: GET /forgotten');
});

test('it starts when every route declares one', async () => {
  const app = Fastify();
  registerAuth(app, keys, lookup);
  app.get('/open', { config: { scope: 'public' } }, async () => 'ok');
  await app.ready();
  expect((await app.inject('/open')).body).toBe('ok');
  await app.close();
});
