import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';
import { failures } from '../schemas.js';
import { isFinished, viewJob } from './read.js';
import { JobSchema } from './schema.js';

const params = Type.Object({ id: Type.String() });

/** Cancel, retry, delete. */
export const jobActions: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { database, storage } = deps;

  app.post(
    '/jobs/:id/cancel',
    {
      config: { scope: 'jobs:write' },
      schema: {
        tags: ['jobs'],
        summary: 'Cancel; again is fine, and a finished job stays as it is',
        params,
        response: { 200: JobSchema, 202: JobSchema, ...failures },
      },
    },
    async (request, reply) => {
      const outcome = await database.jobs.requestCancel(teamOf(request), request.params.id);
      if (outcome === null) throw notFound('job');
      // 202: a worker still has to let go of it.
      return reply.code(isFinished(outcome.job) ? 200 : 202).send(await viewJob(database, outcome.job));
    },
  );

  app.post(
    '/jobs/:id/retry',
    {
      config: { scope: 'jobs:write' },
      schema: {
        tags: ['jobs'],
        summary: 'Run a failed or canceled job again, from its last good layer',
        params,
        response: { 202: JobSchema, ...failures },
      },
    },
    async (request, reply) => {
      const job = await database.jobs.retry(teamOf(request), request.params.id);
      if (job === null) throw notFound('job');
      return reply
        .code(202)
        .header('Location', `/jobs/${job.id}`)
        .send(await viewJob(database, job));
    },
  );

  app.delete(
    '/jobs/:id',
    {
      config: { scope: 'jobs:write' },
      schema: {
        tags: ['jobs'],
        summary: 'Remove a finished job and its artifacts',
        params,
        response: { 204: Type.Null({ description: 'removed' }), ...failures },
      },
    },
    async (request, reply) => {
      const removed = await database.jobs.remove(teamOf(request), request.params.id);
      if (removed === null) throw notFound('job');
      for (const prefix of removed.prefixes) await storage.deletePrefix(prefix);
      return reply.code(204).send(null);
    },
  );
};
