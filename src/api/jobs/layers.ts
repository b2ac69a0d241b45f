import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { InputError } from '../../errors/index.js';
import { targetsOf } from '../../jobs/points.js';
import { LayerRowSchema } from '../../jobs/results.js';
import { MAX_TARGETS } from '../../jobs/spec.js';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';

function noSuchPoint(count: number): InputError {
  const detail = count === 1 ? 'the job has one point' : `the job has the points 1 to ${String(count)}`;
  return new InputError('invalid_request', detail, { faults: [{ pointer: '#query/point', detail }] });
}

export const jobLayers: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.get(
    '/jobs/:id/layers',
    {
      config: { scope: 'jobs:read', doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'listLayers',
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
        response: { 200: Type.Object({ data: Type.Array(LayerRowSchema) }) },
      },
    },
    async (request) => {
      const teamId = teamOf(request);
      const { id } = request.params;
      const { point } = request.query;
      // Every job has a first point.
      const job = point === 1 ? null : await deps.database.jobs.get(teamId, id);
      if (job !== null && point > targetsOf(job.spec).length) throw noSuchPoint(targetsOf(job.spec).length);
      const data = await deps.database.layers.list(teamId, id, point);
      if (data === null) throw notFound('job');
      return { data };
    },
  );
};
