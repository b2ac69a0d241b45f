import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type, type Static } from 'typebox';
import type { JobFilter, JobRecord, Page } from '../../database/records.js';
import type { Database } from '../../database/repositories.js';
import { JOB_STATUSES, type JobStatus } from '../../jobs/tasks.js';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { Limit, PageOf } from '../schemas.js';
import { queryFault, readTime } from '../validation.js';
import { viewJob } from './read.js';
import { JobSchema } from './schema.js';

const LABEL = 'label.';
const isStatus = (name: string): name is JobStatus => JOB_STATUSES.some((status) => status === name);

/** `status=running,queued` or the parameter repeated. */
function readStatus(given: string | string[]): JobStatus[] {
  const names = [given].flat().flatMap((text) => text.split(','));
  return names.map((name) => {
    if (!isStatus(name)) throw queryFault('status', `must be one of ${JOB_STATUSES.join(', ')}`);
    return name;
  });
}

function readLabels(query: object): Record<string, string> {
  const given = Object.entries(query).filter(([name]) => name.startsWith(LABEL));
  // Not by assignment, which does nothing for a label that is called `__proto__`.
  return Object.fromEntries(
    given.map(([name, value]: [string, unknown]) => {
      if (typeof value !== 'string') throw queryFault(name, 'is given twice');
      return [name.slice(LABEL.length), value];
    }),
  );
}

/** What lists of jobs are asked by, beside labels. */
export const FilterSchema = Type.Object({
  limit: Limit,
  after: Type.Optional(Type.String({ description: '`next` of the page before' })),
  status: Type.Optional(
    Type.Union([Type.String(), Type.Array(Type.String())], { description: 'one or more, with commas' }),
  ),
  created_after: Type.Optional(Type.String({ description: 'RFC 3339' })),
});

/** How the document shows what is sent with commas. */
export const LIST_PARAMETERS = {
  status: {
    style: 'form',
    explode: false,
    schema: { type: 'array', items: { type: 'string', enum: [...JOB_STATUSES] } },
  },
};

export function readFilter(query: Static<typeof FilterSchema>): JobFilter {
  const { limit, after, status, created_after } = query;
  const filter: JobFilter = { limit, labels: readLabels(query) };
  if (after !== undefined) filter.after = after;
  if (status !== undefined) filter.status = readStatus(status);
  if (created_after !== undefined) filter.createdAfter = readTime(created_after, '#query/created_after');
  return filter;
}

export async function presentJobs(database: Database, { data, hasMore }: Page<JobRecord>) {
  const views = await Promise.all(data.map((job) => viewJob(database, job)));
  return { data: views, has_more: hasMore, next: hasMore ? (views.at(-1)?.id ?? null) : null };
}

export const listJobs: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.get(
    '/jobs',
    {
      config: { scope: 'jobs:read', doc: { parameters: LIST_PARAMETERS } },
      schema: {
        operationId: 'listJobs',
        tags: ['jobs'],
        summary: 'Jobs, newest first',
        description: 'Labels filter with `label.<key>=<value>`, as often as wanted: all of them must match.',
        querystring: Type.Object(FilterSchema.properties, {
          additionalProperties: false,
          patternProperties: { '^label\\.': {} },
        }),
        response: { 200: PageOf(JobSchema, 'JobPage') },
      },
    },
    async (request) =>
      presentJobs(deps.database, await deps.database.jobs.list(teamOf(request), readFilter(request.query))),
  );
};
