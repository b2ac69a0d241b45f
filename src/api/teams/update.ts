import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { actorOf } from '../plugins/actor.js';
import type { RouteOptions } from '../deps.js';
import { notFound } from '../problem.js';
import { TeamId, teamInPath } from './access.js';
import { presentTeam, readLimits, TeamChangeSchema, TeamSchema } from './schema.js';

export const updateTeam: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { teams } = deps.database;

  app.patch(
    '/teams/:id',
    {
      config: { scope: 'admin', doc: { errors: ['not_found', 'conflict'] } },
      schema: {
        operationId: 'updateTeam',
        tags: ['teams'],
        summary:
          'Change name, weight or limits; what is not given stays, a limit of null is the setting of the service',
        params: Type.Object({ id: TeamId }),
        body: TeamChangeSchema,
        response: { 200: TeamSchema },
      },
    },
    async (request) => {
      const { name, weight, limits } = request.body;
      const change = {
        ...(name === undefined ? {} : { name }),
        ...(weight === undefined ? {} : { weight }),
        limits: readLimits(limits),
      };
      const team = await teams.update(teamInPath(request, request.params.id), change, actorOf(request));
      if (team === null) throw notFound('team');
      return presentTeam(team);
    },
  );
};
