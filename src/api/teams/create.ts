import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { actorOf } from '../plugins/actor.js';
import type { RouteOptions } from '../deps.js';
import { NewTeamSchema, presentTeam, readLimits, TeamSchema } from './schema.js';

export const createTeam: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { teams } = deps.database;

  app.post(
    '/teams',
    {
      config: { scope: 'admin', doc: { errors: ['conflict'], headers: { 201: ['Location'] } } },
      schema: {
        operationId: 'createTeam',
        tags: ['teams'],
        summary: 'Make a team',
        body: NewTeamSchema,
        response: { 201: TeamSchema },
      },
    },
    async (request, reply) => {
      const { name, weight = 1, limits } = request.body;
      const team = await teams.create({ name, weight, limits: readLimits(limits) }, actorOf(request));
      return reply.code(201).header('Location', `/teams/${team.id}`).send(presentTeam(team));
    },
  );
};
