import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { RouteOptions } from '../deps.js';
import { presentWorker, WorkerSchema } from '../pool/worker.js';
import { notFound } from '../problem.js';
import { actorOf } from '../plugins/actor.js';

const params = Type.Object({ id: Type.String() });

/** Taking a worker out of service without hurry, and back. */
export const adminWorkers: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { workers } = deps.database;
  const calls = [
    ['POST', 'drainWorker', true, 'Let a worker end its task and take no more; it is idle when `busy_with` is null'],
    ['DELETE', 'undrainWorker', false, 'Let a draining worker take tasks again'],
  ] as const;
  for (const [method, operationId, draining, summary] of calls) {
    app.route({
      method,
      url: '/admin/workers/:id/drain',
      config: { scope: 'admin', doc: { errors: ['not_found'] } },
      schema: {
        operationId,
        tags: ['admin'],
        summary: `${summary}; again is fine`,
        params,
        response: { 200: WorkerSchema },
      },
      handler: async (request) => {
        const { id } = request.params;
        const worker = await workers.drain(id, draining, actorOf(request));
        if (worker === null) throw notFound('worker that is alive');
        return presentWorker(worker, { teamId: null, admin: true });
      },
    });
  }
};
