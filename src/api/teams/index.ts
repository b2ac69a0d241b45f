import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { actorOf } from '../plugins/actor.js';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';
import { Limit, page, PageOf } from '../schemas.js';
import { badCursor } from '../validation.js';
import { isAdmin, teamInPath } from './access.js';
import { keyRoutes } from './keys.js';
import { removeTeam } from './remove.js';
import { NewTeamSchema, presentTeam, readLimits, TeamChangeSchema, TeamSchema } from './schema.js';

const params = Type.Object({ id: Type.String({ description: "a team's id, or `self` for the key's own team" }) });

/** What is in use of that which is limited. */
const InUse = Type.Object({
  running_tasks: Type.Integer(),
  queued_jobs: Type.Integer(),
  storage_bytes: Type.Integer(),
});
const TeamAndUse = Type.Object({ ...TeamSchema.properties, in_use: InUse }, { $id: 'TeamInUse' });

export const teamRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, options) => {
  const { teams } = options.deps.database;
  await app.register(keyRoutes, options);
  await app.register(removeTeam, options);

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

  app.get(
    '/teams/:id',
    {
      config: { scope: ['admin', 'team:admin'], doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'getTeam',
        tags: ['teams'],
        summary: 'A team with its limits, and what is in use of them',
        params,
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

  app.patch(
    '/teams/:id',
    {
      config: { scope: 'admin', doc: { errors: ['not_found', 'conflict'] } },
      schema: {
        operationId: 'updateTeam',
        tags: ['teams'],
        summary:
          'Change name, weight or limits; what is not given stays, a limit of null is the setting of the service',
        params,
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
