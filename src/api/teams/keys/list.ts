import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { RouteOptions } from '../../deps.js';
import { Limit, page, PageOf } from '../../schemas.js';
import { badCursor } from '../../validation.js';
import { KeySchema, presentKey } from '../schema.js';
import { existingTeam, teamParams } from './access.js';

export const listKeys: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { keys, teams } = deps.database;

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
      const teamId = await existingTeam(teams, request, request.params.id);
      if (after !== undefined && (await keys.get(teamId, after)) === null) throw badCursor('key');
      const { data, hasMore } = await keys.list(teamId, { limit, ...(after === undefined ? {} : { after }) });
      return page(data, hasMore, presentKey, ({ id }) => id);
    },
  );
};
