import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import PQueue from 'p-queue';
import { Type, type Static } from 'typebox';
import type { Database } from '../../database/repositories.js';
import { JOB_STATUSES } from '../../jobs/tasks.js';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { requestFault } from '../problem.js';
import { isFinished } from './read.js';

const MOST_IDS = 1000;
/** Every cancellation is a transaction of its own; the other requests need connections, too. */
const AT_ONCE = 4;

export const BodySchema = Type.Object(
  {
    ids: Type.Optional(
      Type.Array(Type.String({ maxLength: 64 }), { minItems: 1, maxItems: MOST_IDS, uniqueItems: true }),
    ),
    status: Type.Optional(Type.Array(Type.Enum([...JOB_STATUSES]), { minItems: 1, uniqueItems: true })),
    labels: Type.Optional(
      Type.Record(Type.String({ pattern: '^[A-Za-z0-9_.-]{1,64}$' }), Type.String({ maxLength: 256 }), {
        additionalProperties: Type.Never(),
        minProperties: 1,
        maxProperties: 32,
      }),
    ),
  },
  { $id: 'JobChoice', additionalProperties: false, description: 'jobs that match all of what is given' },
);

export const OutcomeSchema = Type.Object(
  {
    matched: Type.Integer({ description: 'jobs that were chosen, those that had ended included' }),
    canceled: Type.Integer({ description: 'that were queued, and are canceled now' }),
    canceling: Type.Integer({ description: 'that were running: their workers still have to let go of them' }),
    unchanged: Type.Integer({ description: 'that had ended, or were being canceled' }),
  },
  { $id: 'CancelOutcome' },
);

/** Of one team, or of all; `cancel` is asked for each job that has not ended. */
export async function cancelMany(
  jobs: Database['jobs'],
  { ids, status, labels }: Static<typeof BodySchema>,
  teamId: string | null,
  cancel: (id: string) => ReturnType<Database['jobs']['requestCancel']>,
): Promise<Static<typeof OutcomeSchema>> {
  if (ids === undefined && status === undefined && labels === undefined)
    throw requestFault('', 'name the jobs: by ids, labels or status');
  const chosen = await jobs.openIds(teamId, {
    ...(ids === undefined ? {} : { ids }),
    ...(status === undefined ? {} : { status }),
    ...(labels === undefined ? {} : { labels }),
  });
  const queue = new PQueue({ concurrency: AT_ONCE });
  const outcomes = await queue.addAll(chosen.ids.map((id) => () => cancel(id)));
  const changed = outcomes.flatMap((outcome) => (outcome?.changed === true ? [outcome.job] : []));
  const canceled = changed.filter(isFinished).length;
  return {
    matched: chosen.matched,
    canceled,
    canceling: changed.length - canceled,
    unchanged: chosen.matched - changed.length,
  };
}

export const cancelJobs: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { jobs } = deps.database;
  app.post(
    '/jobs/cancel',
    {
      config: { scope: 'jobs:write' },
      schema: {
        operationId: 'cancelJobs',
        tags: ['jobs'],
        summary: 'Cancel all jobs with these labels, ids or statuses; again is fine',
        description: 'One of the three must be given. Jobs that are submitted meanwhile may be missed.',
        body: BodySchema,
        response: { 200: OutcomeSchema },
      },
    },
    async (request) => {
      const teamId = teamOf(request);
      return cancelMany(jobs, request.body, teamId, (id) => jobs.requestCancel(teamId, id));
    },
  );
};
