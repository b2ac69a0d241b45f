import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { RouteOptions } from '../deps.js';
import { notFound } from '../problem.js';
import { TeamId, teamInPath } from './access.js';
import { presentTeam, TeamSchema } from './schema.js';

/** What is in use of that which is limited. */
const InUse = Type.Object({
  running_tasks: Type.Integer(),
  queued_jobs: Type.Integer(),
  storage_bytes: Type.Integer(),
});
const TeamAndUse = Type.Object({ ...TeamSchema.properties, in_use: InUse }, { $id: 'TeamInUse' });

export const getTeam: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { teams } = deps.database;

  app.get(
    '/teams/:id',
    {
      config: { scope: ['admin', 'team:admin'], doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'getTeam',
        tags: ['teams'],
        summary: 'A team with its limits, and what is in use of them',
        params: Type.Object({ id: TeamId }),
        response: { 200: TeamAndUse },
      },
    },
    async (request) => {
      const team = await teams.get(teamInPath(request, request.params.id));
      if (team === null) throw notFound('team');
      const { runningTasks, openJobs, storageBytes } = await teams.usage(team.id);
      return {
        ...presentTeam(team),
        in_use: { running_tasks: runningTasks, queued_jobs: openJobs, storage_bytes: storageBytes },
      };
    },
  );
};
