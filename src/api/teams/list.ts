import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { teamOf } from '../plugins/auth.js';
import type { RouteOptions } from '../deps.js';
import { Limit, page, PageOf } from '../schemas.js';
import { badCursor } from '../validation.js';
import { isAdmin } from './access.js';
import { presentTeam, TeamSchema } from './schema.js';

export const listTeams: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { teams } = deps.database;

  app.get(
    '/teams',
    {
      config: { scope: ['admin', 'team:admin'] },
      schema: {
        operationId: 'listTeams',
        tags: ['teams'],
        summary: 'All teams, oldest first; without the scope admin, the own one',
        querystring: Type.Object(
          { limit: Limit, after: Type.Optional(Type.String()) },
          { additionalProperties: false },
        ),
        response: { 200: PageOf(TeamSchema, 'TeamPage') },
      },
    },
    async (request) => {
      const { limit, after } = request.query;
      if (!isAdmin(request)) {
        const own = await teams.get(teamOf(request));
        return page(own === null || after !== undefined ? [] : [own], false, presentTeam, ({ id }) => id);
      }
      if (after !== undefined && (await teams.get(after)) === null) throw badCursor('team');
      const { data, hasMore } = await teams.list({ limit, ...(after === undefined ? {} : { after }) });
      return page(data, hasMore, presentTeam, ({ id }) => id);
    },
  );
};
