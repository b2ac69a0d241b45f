import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { actorOf } from '../../plugins/actor.js';
import type { RouteOptions } from '../../deps.js';
import { notFound } from '../../problem.js';
import { teamInPath } from '../access.js';
import { KeySchema, presentKey } from '../schema.js';
import { keyParams, refuseAdminKey } from './access.js';

export const revokeKey: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { keys } = deps.database;

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
