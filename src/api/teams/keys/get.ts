import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { RouteOptions } from '../../deps.js';
import { notFound } from '../../problem.js';
import { teamInPath } from '../access.js';
import { KeySchema, presentKey } from '../schema.js';
import { keyParams } from './access.js';

export const getKey: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { keys } = deps.database;

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
};
