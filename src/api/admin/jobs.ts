import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { RouteOptions } from '../deps.js';
import { BodySchema, cancelMany, OutcomeSchema } from '../jobs/cancel-many.js';
import { FilterSchema, LIST_PARAMETERS, readFilter } from '../jobs/filter.js';
import { ListSchema, readList } from '../jobs/list.js';
import { isFinished, viewJob } from '../jobs/read.js';
import { JobSchema } from '../jobs/schema.js';
import { notFound } from '../problem.js';
import { actorOf } from '../plugins/actor.js';

const params = Type.Object({ id: Type.String() });
const TEAM = { team: Type.Optional(Type.String({ description: "only this team's jobs" })) };

/** Jobs of all teams. What they made stays with their teams: there is no way to their artifacts from here. */
export const adminJobs: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { database } = deps;

  /** A job may be in any team; what its cancellation needs to know of it is asked first. */
  async function cancel(id: string, request: FastifyRequest) {
    const found = await database.jobs.find(id);
    return found === null ? null : database.jobs.requestCancel(found.teamId, found.id, actorOf(request));
  }

  app.get(
    '/admin/jobs',
    {
      config: { scope: 'admin', doc: { parameters: LIST_PARAMETERS } },
      schema: {
        operationId: 'adminListJobs',
        tags: ['admin'],
        summary: 'Jobs of all teams, or of one, newest first',
        description: 'Filters as `GET /jobs`.',
        querystring: Type.Object(
          { ...FilterSchema.properties, ...TEAM },
          { additionalProperties: false, patternProperties: { '^label\\.': {} } },
        ),
        response: { 200: ListSchema },
      },
    },
    async (request) => {
      const { team, ...query } = request.query;
      const { answer } = await readList(database, team ?? null, readFilter(query), query);
      return answer;
    },
  );

  app.get(
    '/admin/jobs/:id',
    {
      config: { scope: 'admin', doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'adminGetJob',
        tags: ['admin'],
        summary: 'A job of any team',
        params,
        response: { 200: JobSchema },
      },
    },
    async (request) => {
      const job = await database.jobs.find(request.params.id);
      if (job === null) throw notFound('job');
      return viewJob(database, job);
    },
  );

  app.post(
    '/admin/jobs/:id/cancel',
    {
      config: { scope: 'admin', doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'adminCancelJob',
        tags: ['admin'],
        summary: 'Cancel a job of any team; again is fine, and a finished job stays as it is',
        params,
        response: { 200: JobSchema, 202: JobSchema },
      },
    },
    async (request, reply) => {
      const outcome = await cancel(request.params.id, request);
      if (outcome === null) throw notFound('job');
      return reply.code(isFinished(outcome.job) ? 200 : 202).send(await viewJob(database, outcome.job));
    },
  );

  app.post(
    '/admin/jobs/cancel',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'adminCancelJobs',
        tags: ['admin'],
        summary: 'Cancel jobs of all teams, or of one, by labels, ids or statuses; again is fine',
        description: 'As `POST /jobs/cancel`.',
        querystring: Type.Object(TEAM, { additionalProperties: false }),
        body: BodySchema,
        response: { 200: OutcomeSchema },
      },
    },
    async (request) => cancelMany(database.jobs, request.body, request.query.team ?? null, (id) => cancel(id, request)),
  );
};
