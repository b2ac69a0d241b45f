import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Scope } from '../../database/records.js';
import { InputError } from '../../errors/index.js';
import { actorOf } from '../plugins/actor.js';
import type { RouteOptions } from '../deps.js';
import { newKey, visiblePrefix } from '../new-key.js';
import { hashKey } from '../plugins/auth.js';
import { notFound } from '../problem.js';
import { Limit, page, PageOf } from '../schemas.js';
import { badCursor, readTime } from '../validation.js';
import { isAdmin, teamInPath } from './access.js';
import { KeySchema, MadeKeySchema, NewKeySchema, presentKey } from './schema.js';

const TeamId = Type.String({ description: "a team's id, or `self` for the key's own team" });
const teamParams = Type.Object({ id: TeamId });
const keyParams = Type.Object({ id: TeamId, key_id: Type.String() });

/** Admins of a team manage its keys, but neither make nor end those of the service's admins. */
function refuseAdminKey(request: FastifyRequest, scopes: Scope[]): void {
  if (!scopes.includes('admin') || isAdmin(request)) return;
  throw new InputError('forbidden', 'a key with the scope admin is only for keys with the scope admin');
}

function readExpiry(given: string | null | undefined): Date | null {
  if (given === undefined || given === null) return null;
  const time = readTime(given, '/expires_at');
  if (time.getTime() > Date.now()) return time;
  const detail = 'must be in the future';
  throw new InputError('invalid_request', `/expires_at ${detail}`, { faults: [{ pointer: '/expires_at', detail }] });
}

export const keyRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { keys, teams } = deps.database;

  async function team(request: FastifyRequest, id: string): Promise<string> {
    const teamId = teamInPath(request, id);
    if ((await teams.get(teamId)) === null) throw notFound('team');
    return teamId;
  }

  app.post(
    '/teams/:id/keys',
    {
      config: {
        scope: ['admin', 'team:admin'],
        doc: { errors: ['not_found'], headers: { 201: ['Location', 'Cache-Control'] } },
      },
      schema: {
        operationId: 'createKey',
        tags: ['teams'],
        summary: 'Make a key; the answer is the only place that shows it',
        params: teamParams,
        body: NewKeySchema,
        response: { 201: MadeKeySchema },
      },
    },
    async (request, reply) => {
      const { name, scopes, expires_at } = request.body;
      refuseAdminKey(request, scopes);
      const teamId = await team(request, request.params.id);
      const key = newKey();
      const made = await keys.create(
        teamId,
        { hash: hashKey(key), prefix: visiblePrefix(key), name, scopes, expiresAt: readExpiry(expires_at) },
        actorOf(request),
      );
      return reply
        .code(201)
        .header('Location', `/teams/${teamId}/keys/${made.id}`)
        .header('Cache-Control', 'no-store')
        .send({ ...presentKey(made), key });
    },
  );

  app.get(
    '/teams/:id/keys',
    {
      config: { scope: ['admin', 'team:admin'], doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'listKeys',
        tags: ['teams'],
        summary: 'The keys of a team, oldest first, those that are revoked or have expired too',
        params: teamParams,
        querystring: Type.Object(
          { limit: Limit, after: Type.Optional(Type.String()) },
          { additionalProperties: false },
        ),
        response: { 200: PageOf(KeySchema, 'ApiKeyPage') },
      },
    },
    async (request) => {
      const { limit, after } = request.query;
      const teamId = await team(request, request.params.id);
      if (after !== undefined && (await keys.get(teamId, after)) === null) throw badCursor('key');
      const { data, hasMore } = await keys.list(teamId, { limit, ...(after === undefined ? {} : { after }) });
      return page(data, hasMore, presentKey, ({ id }) => id);
    },
  );

  app.get(
    '/teams/:id/keys/:key_id',
    {
      config: { scope: ['admin', 'team:admin'], doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'getKey',
        tags: ['teams'],
        summary: 'A key, without the key itself',
        params: keyParams,
        response: { 200: KeySchema },
      },
    },
    async (request) => {
      const key = await keys.get(teamInPath(request, request.params.id), request.params.key_id);
      if (key === null) throw notFound('key');
      return presentKey(key);
    },
  );

  app.delete(
    '/teams/:id/keys/:key_id',
    {
      config: { scope: ['admin', 'team:admin'], doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'revokeKey',
        tags: ['teams'],
        summary: 'Revoke a key: the next request with it is refused; again is fine',
        params: keyParams,
        response: { 200: KeySchema },
      },
    },
    async (request) => {
      const teamId = teamInPath(request, request.params.id);
      const key = await keys.get(teamId, request.params.key_id);
      if (key === null) throw notFound('key');
      refuseAdminKey(request, key.scopes);
      const revoked = await keys.revoke(teamId, key.id, actorOf(request));
      if (revoked === null) throw notFound('key');
      return presentKey(revoked);
    },
  );
};
