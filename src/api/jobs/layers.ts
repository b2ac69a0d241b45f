import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { LayerRowSchema } from '../../jobs/results.js';
import { MAX_TARGETS } from '../../jobs/spec.js';
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
        querystring: Type.Object(
          {
            point: Type.Integer({
              minimum: 1,
              maximum: MAX_TARGETS,
              default: 1,
              description: 'of a job with several targets: the number of the target',
            }),
          },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ data: Type.Array(LayerRowSchema) }), ...failures },
      },
    },
    async (request) => {
      const data = await deps.database.layers.list(teamOf(request), request.params.id, request.query.point);
      if (data === null) throw notFound('job');
      return { data };
    },
  );
};
