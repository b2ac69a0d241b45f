import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type, type Static } from 'typebox';
import type { DeliveryAttempt } from '../../database/records.js';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';
import { Nullable, Time } from '../schemas.js';
import { DeliverySchema, presentDelivery } from './schema.js';

const AttemptSchema = Type.Object({
  at: Time,
  status: Nullable(Type.Integer()),
  error: Nullable(Type.String()),
  duration_ms: Type.Integer(),
  snippet: Nullable(Type.String({ description: 'the beginning of the answer' })),
});

const presentAttempt = (attempt: DeliveryAttempt): Static<typeof AttemptSchema> => ({
  at: attempt.at.toISOString(),
  status: attempt.status,
  error: attempt.error,
  duration_ms: attempt.durationMs,
  snippet: attempt.snippet,
});

export const getDelivery: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { webhooks } = deps.database;

  app.get(
    '/webhooks/deliveries/:id',
    {
      config: { scope: 'jobs:read', doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'getDelivery',
        tags: ['webhooks'],
        summary: 'One message with the log of its attempts, oldest first',
        params: Type.Object({ id: Type.String() }),
        response: {
          200: Type.Object({ ...DeliverySchema.properties, log: Type.Array(AttemptSchema) }),
        },
      },
    },
    async (request) => {
      const found = await webhooks.get(teamOf(request), request.params.id);
      if (found === null) throw notFound('webhook delivery');
      return { ...presentDelivery(found.delivery), log: found.log.map(presentAttempt) };
    },
  );
};
