import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply } from 'fastify';
import { Type, type Static } from 'typebox';
import type { JobFilter, QueuePlace } from '../../database/records.js';
import type { Database } from '../../database/repositories.js';
import type { RouteOptions } from '../deps.js';
import type { AnswerHeader } from '../openapi/headers.js';
import { teamOf } from '../plugins/auth.js';
import { PageOf } from '../schemas.js';
import { matches } from './etag.js';
import { FilterSchema, LIST_PARAMETERS } from './filter.js';
import { knownFilters } from './known-filters.js';
import { listEtags } from './list-etag.js';
import { placeOf, viewJob } from './read.js';
import { JobRowSchema, JobSchema, presentRow } from './schema.js';

const Total = Type.Optional(Type.Integer({ description: 'of all pages, where it was asked for' }));
const JobPage = Type.Object({ ...PageOf(JobSchema, '').properties, total: Total }, { $id: 'JobPage' });
const JobRowPage = Type.Object({ ...PageOf(JobRowSchema, '').properties, total: Total }, { $id: 'JobRowPage' });
export const ListSchema = Type.Union([JobPage, JobRowPage], {
  description: 'whole jobs, or with `fields=short` rows',
});

interface Listed {
  answer: Static<typeof ListSchema>;
  places: (QueuePlace | null)[];
  page: Awaited<ReturnType<Database['jobs']['rows' | 'list']>>;
}

type Query = Static<typeof FilterSchema>;

/** A page of jobs as it is answered. */
export async function readList(
  database: Database,
  teamId: string | null,
  filter: JobFilter,
  query: Pick<Query, 'fields' | 'total'>,
): Promise<Listed> {
  const counted = query.total ? { total: await database.jobs.count(teamId, filter) } : {};
  const next = (hasMore: boolean, last: { id: string } | undefined) => ({
    ...{ has_more: hasMore, next: hasMore ? (last?.id ?? null) : null, ...counted },
  });
  if (query.fields === 'short') {
    const page = await database.jobs.rows(teamId, filter);
    const places = await Promise.all(page.data.map((job) => placeOf(database, job)));
    const data = page.data.map((job, i) => presentRow(job, places[i] ?? null));
    return { answer: { data, ...next(page.hasMore, page.data.at(-1)) }, places, page };
  }
  const page = await database.jobs.list(teamId, filter);
  const places = await Promise.all(page.data.map((job) => placeOf(database, job)));
  const data = await Promise.all(page.data.map((job, i) => viewJob(database, job, places[i] ?? null)));
  return { answer: { data, ...next(page.hasMore, page.data.at(-1)) }, places, page };
}

const OF_A_LIST: readonly AnswerHeader[] = ['ETag', 'Cache-Control'];
const tagged = <Reply extends Pick<FastifyReply, 'header'>>(reply: Reply, etag: string): Reply => {
  reply.header('ETag', etag).header('Cache-Control', 'private, no-cache').header('Vary', 'Authorization');
  return reply;
};

export const listJobs: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { database } = deps;
  const etags = listEtags(database.jobs);
  const filters = knownFilters();

  app.get(
    '/jobs',
    {
      config: {
        scope: 'jobs:read',
        doc: { parameters: LIST_PARAMETERS, headers: { 200: OF_A_LIST, 304: OF_A_LIST } },
      },
      schema: {
        operationId: 'listJobs',
        tags: ['jobs'],
        summary: 'Jobs, newest first',
        description:
          'Labels filter with `label.<key>=<value>`, as often as wanted: all of them must match. With `If-None-Match` a page of ' +
          'which no job changed, and no place in the queue, is 304.',
        querystring: Type.Object(FilterSchema.properties, {
          additionalProperties: false,
          patternProperties: { '^label\\.': {} },
        }),
        headers: Type.Object({
          'if-none-match': Type.Optional(Type.String({ description: 'the last ETag: 304 when nothing changed' })),
        }),
        response: { 200: ListSchema, 304: Type.Null({ description: 'nothing changed' }) },
      },
    },
    async (request, reply) => {
      const teamId = teamOf(request);
      const { query } = request;
      const asked = filters.of(request.url, query);
      const { fields = 'all', total } = query;
      const condition = request.headers['if-none-match'];
      // A count has no digest.
      if (condition !== undefined && !total) {
        const etag = await etags.current({ teamId, fields, ...asked });
        if (etag !== null && matches(condition, etag)) return tagged(reply, etag).code(304).send(null);
      }
      const { answer, page, places } = await readList(database, teamId, asked.filter, query);
      const counted = total ? `${fields} of ${String(answer.total)}` : fields;
      const etag = etags.note({ teamId, fields: counted, ...asked }, page, places);
      if (matches(condition, etag)) return tagged(reply, etag).code(304).send(null);
      return tagged(reply, etag).code(200).send(answer);
    },
  );
};
