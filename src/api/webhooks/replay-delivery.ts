import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';
import { DeliverySchema, presentDelivery } from './schema.js';

export const replayDelivery: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { webhooks } = deps.database;

  app.post(
    '/webhooks/deliveries/:id/replay',
    {
      config: { scope: 'jobs:write', doc: { errors: ['not_found', 'conflict'] } },
      schema: {
        operationId: 'replayDelivery',
        tags: ['webhooks'],
        summary: 'Send a message again, now, with the same id and body; its schedule starts anew',
        params: Type.Object({ id: Type.String() }),
        response: { 202: DeliverySchema },
      },
    },
    async (request, reply) => {
      const delivery = await webhooks.replay(teamOf(request), request.params.id);
      if (delivery === null) throw notFound('webhook delivery');
      return reply.code(202).send(presentDelivery(delivery));
    },
  );
};
