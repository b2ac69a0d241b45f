import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { LayerRowSchema } from '../../jobs/results.js';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';
import { failures } from '../schemas.js';

export const jobLayers: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.get(
    '/jobs/:id/layers',
    {
      config: { scope: 'jobs:read' },
      schema: {
        tags: ['jobs'],
        summary: 'The ledger: what happened to every layer, readable while the job runs',
        params: Type.Object({ id: Type.String() }),
        response: { 200: Type.Object({ data: Type.Array(LayerRowSchema) }), ...failures },
      },
    },
    async (request) => {
      const data = await deps.database.layers.list(teamOf(request), request.params.id);
      if (data === null) throw notFound('job');
      return { data };
    },
  );
};
