import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { JobInputs } from '../../database/records.js';
import { InputError } from '../../errors/index.js';
import { isStored } from '../../storage/is-stored.js';
import type { Storage } from '../../storage/storage.js';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';
import { isFinished, viewJob } from './read.js';
import { JobSchema } from './schema.js';

const params = Type.Object({ id: Type.String() });

/** Cancel, retry, delete. */
export const jobActions: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { database, storage } = deps;

  app.post(
    '/jobs/:id/cancel',
    {
      config: { scope: 'jobs:write', doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'cancelJob',
        tags: ['jobs'],
        summary: 'Cancel; again is fine, and a finished job stays as it is',
        params,
        response: { 200: JobSchema, 202: JobSchema },
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
      config: {
        scope: 'jobs:write',
        doc: { errors: ['not_found', 'conflict', 'limit_exceeded'], headers: { 202: ['Location'] } },
      },
      schema: {
        operationId: 'retryJob',
        tags: ['jobs'],
        summary: 'Run a failed or canceled job again, from its last good layer',
        params,
        response: { 202: JobSchema },
      },
    },
    async (request, reply) => {
      const before = await database.jobs.get(teamOf(request), request.params.id);
      if (before !== null) await refuseLostContent(storage, before.inputs);
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
      config: { scope: 'jobs:write', doc: { errors: ['not_found', 'conflict'] } },
      schema: {
        operationId: 'deleteJob',
        tags: ['jobs'],
        summary: 'Remove a finished job and its artifacts',
        params,
        response: { 204: Type.Null({ description: 'removed' }) },
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

/** @throws InputError when the storage has lost an input: the job could only fail again */
async function refuseLostContent(storage: Pick<Storage, 'head'>, inputs: JobInputs): Promise<void> {
  const parts = (['model', 'calibration', 'evaluation'] as const).flatMap((part) => {
    const input = inputs[part];
    return input === null ? [] : [{ part, input }];
  });
  const stored = await Promise.all(parts.map(({ input }) => isStored(storage, input)));
  const lost = parts.filter((_, i) => !stored[i]);
  if (lost.length === 0) return;
  const names = lost.map(({ part, input }) => `${part} (${input.filename}, sha256:${input.sha256})`).join(' and ');
  throw new InputError(
    'conflict',
    `the content of the job's ${names} was lost; send it to /uploads again, then retry`,
    {
      faults: lost.map(({ part }) => ({ pointer: `/${part}`, detail: 'is not stored any more' })),
    },
  );
}
