import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';

export const deleteUpload: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.delete(
    '/uploads/:id',
    {
      config: { scope: 'jobs:write', doc: { errors: ['not_found', 'conflict'] } },
      schema: {
        operationId: 'deleteUpload',
        tags: ['uploads'],
        summary: 'Remove an upload; 409 while a job that has not ended reads it',
        description: 'A job that has ended keeps its artifacts, but cannot be tried again without its uploads.',
        params: Type.Object({ id: Type.String() }),
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const removed = await deps.database.uploads.remove(teamOf(request), request.params.id);
      if (removed === null) throw notFound('upload');
      // Nobody can find it any more; what cannot be deleted now is left to the janitor.
      await deps.storage
        .delete(removed.key)
        .catch((error: unknown) => request.log.warn({ err: error, key: removed.key }, 'a file was left'));
      return reply.code(204).send(null);
    },
  );
};
