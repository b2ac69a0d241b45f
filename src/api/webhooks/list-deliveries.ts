import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { DELIVERY_STATES } from '../../database/records.js';
import { InputError } from '../../errors/index.js';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { Limit, PageOf } from '../schemas.js';
import { DeliverySchema, presentDelivery } from './schema.js';

export const listDeliveries: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { webhooks } = deps.database;

  app.get(
    '/webhooks/deliveries',
    {
      config: { scope: 'jobs:read' },
      schema: {
        operationId: 'listDeliveries',
        tags: ['webhooks'],
        summary: 'Messages about ended jobs, newest first',
        querystring: Type.Object(
          {
            limit: Limit,
            after: Type.Optional(Type.String({ description: '`next` of the page before' })),
            job_id: Type.Optional(Type.String()),
            state: Type.Optional(Type.Enum([...DELIVERY_STATES])),
          },
          { additionalProperties: false },
        ),
        response: { 200: PageOf(DeliverySchema, 'WebhookDeliveryPage') },
      },
    },
    async (request) => {
      const { limit, after, job_id, state } = request.query;
      const found = await webhooks.list(teamOf(request), {
        limit,
        ...(after === undefined ? {} : { after }),
        ...(job_id === undefined ? {} : { jobId: job_id }),
        ...(state === undefined ? {} : { state }),
      });
      if (found === null) {
        const detail = 'the message that the cursor names is not there (any more)';
        throw new InputError('invalid_request', detail, { faults: [{ pointer: '#query/after', detail }] });
      }
      const data = found.data.map(presentDelivery);
      return { data, has_more: found.hasMore, next: found.hasMore ? (data.at(-1)?.id ?? null) : null };
    },
  );
};
