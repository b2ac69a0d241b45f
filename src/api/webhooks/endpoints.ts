import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';
import { Time } from '../schemas.js';

/** Endpoints that said 410 Gone. */
export const disabledEndpoints: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { webhooks } = deps.database;

  app.get(
    '/webhooks/disabled-endpoints',
    {
      config: { scope: 'jobs:read' },
      schema: {
        operationId: 'listDisabledEndpoints',
        tags: ['webhooks'],
        summary: 'Endpoints that said 410 Gone: they are sent nothing',
        response: {
          200: Type.Object({ data: Type.Array(Type.Object({ url: Type.String(), disabled_at: Time })) }),
        },
      },
    },
    async (request) => {
      const disabled = await webhooks.disabledEndpoints(teamOf(request));
      return { data: disabled.map(({ url, disabledAt }) => ({ url, disabled_at: disabledAt.toISOString() })) };
    },
  );

  app.post(
    '/webhooks/enable-endpoint',
    {
      config: { scope: 'jobs:write', doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'enableEndpoint',
        tags: ['webhooks'],
        summary: 'Send to a disabled endpoint again; what it missed can be replayed',
        body: Type.Object({ url: Type.String({ maxLength: 2048 }) }, { additionalProperties: false }),
        response: { 204: Type.Null({ description: 'enabled' }) },
      },
    },
    async (request, reply) => {
      if (!(await webhooks.enableEndpoint(teamOf(request), request.body.url))) throw notFound('disabled endpoint');
      return reply.code(204).send(null);
    },
  );
};
