import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { InputError } from '../../errors/index.js';
import { actorOf } from '../plugins/actor.js';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';

const BATCH = 500;

export const removeTeam: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { database, storage } = deps;

  app.delete(
    '/teams/:id',
    {
      config: { scope: 'admin', doc: { errors: ['not_found', 'conflict'] } },
      schema: {
        operationId: 'deleteTeam',
        tags: ['teams'],
        summary: 'Remove a team with its keys, jobs, uploads, artifacts and webhooks; its usage stays',
        description:
          'Its keys are refused from then on. 409 while jobs of it have not ended, unless `cancel_jobs` says that they are to be ' +
          'canceled; nobody is told of their end. When it was interrupted, call it again.',
        params: Type.Object({ id: Type.String() }),
        querystring: Type.Object({ cancel_jobs: Type.Boolean({ default: false }) }, { additionalProperties: false }),
        response: { 204: Type.Null({ description: 'removed' }) },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      if (id === teamOf(request)) throw new InputError('conflict', 'the team of the key that calls cannot be removed');
      const options = { cancelJobs: request.query.cancel_jobs };
      if (!(await database.teams.close(id, options, actorOf(request)))) throw notFound('team');
      const gone = (work: Promise<unknown>, file: string) =>
        // The janitor takes what is left.
        work.catch((error: unknown) => request.log.warn({ err: error, file }, 'a file could not be deleted'));
      for (;;) {
        const { prefixes, keys } = await database.teams.clear(id, BATCH);
        if (prefixes.length + keys.length === 0) break;
        for (const prefix of prefixes) await gone(storage.deletePrefix(prefix), prefix);
        for (const key of keys) await gone(storage.delete(key), key);
      }
      await database.teams.drop(id);
      return reply.code(204).send(null);
    },
  );
};
