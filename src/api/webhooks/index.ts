import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { RouteOptions } from '../deps.js';
import { disabledEndpoints } from './endpoints.js';
import { getDelivery } from './get-delivery.js';
import { listDeliveries } from './list-deliveries.js';
import { replayDelivery } from './replay-delivery.js';
import { webhookSecret } from './secret.js';

export const webhookRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, options) => {
  for (const route of [webhookSecret, listDeliveries, getDelivery, replayDelivery, disabledEndpoints]) {
    await app.register(route, options);
  }
};
