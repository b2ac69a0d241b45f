import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import type { JobBrief, JobRecord, QueuePlace } from '../../database/records.js';
import type { RouteDeps, RouteOptions } from '../deps.js';
import { InputError } from '../../errors/index.js';
import { callerFrom, NOT_VALID, teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';
import type { AnswerHeader } from '../openapi/headers.js';
import { jobEtag, matches, statusSeen } from './etag.js';
import { isFinished, placeOf, retryAfterSeconds, viewJob } from './read.js';
import { JobSchema } from './schema.js';
import { stillGood } from './still-good.js';
import { clientGone, watch } from './live/watch.js';

const MAX_WAIT_SECONDS = 60;
/** A notification that is lost with its connection costs this at most. */
const LOOK_AGAIN_MS = 5_000;

/** RFC 7240: seconds of `Prefer: wait=N`, or 0. */
function readWait(header: string | undefined): number {
  const seconds = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,6})"?/i.exec(header ?? '')?.[1];
  return Math.min(MAX_WAIT_SECONDS, Number(seconds ?? 0));
}

/**
 * The job once its status is another than `seen`, it has ended, the time is over, or nobody waits any more.
 * @throws {InputError} unauthorized, when the key is not good any more
 */
async function settled(
  deps: RouteDeps,
  { job, keyId, seen, seconds }: { job: JobRecord; keyId: string; seen: string; seconds: number },
  reply: FastifyReply,
) {
  const until = Date.now() + seconds * 1000;
  const isGood = stillGood(deps.database.keys, keyId);
  const signal = AbortSignal.any([deps.closing, clientGone(reply)]);
  const changes = watch(deps.database.notifications, job.id, signal);
  try {
    for (let current: JobRecord | null = job; ;) {
      // Read after the subscription, so that no change falls between the two.
      current = await deps.database.jobs.get(job.teamId, job.id);
      const left = until - Date.now();
      const over = current === null || current.status !== seen || isFinished(current) || left <= 0 || signal.aborted;
      if (!(await isGood(over ? 'exactly' : undefined))) throw new InputError('unauthorized', NOT_VALID);
      if (over) return current;
      await changes.next(Math.min(left, LOOK_AGAIN_MS));
    }
  } finally {
    changes.stop();
  }
}

/** The headers of an answer, whether it has a body or not. */
function describe<Reply extends Pick<FastifyReply, 'header'>>(
  reply: Reply,
  job: JobBrief,
  place: QueuePlace | null,
  etag: string,
): Reply {
  reply.header('ETag', etag).header('Cache-Control', 'private, no-cache');
  reply.header('Vary', 'Authorization, Prefer');
  const retryAfter = retryAfterSeconds(job, place);
  if (retryAfter !== null) reply.header('Retry-After', retryAfter);
  return reply;
}

const OF_A_JOB: readonly AnswerHeader[] = ['ETag', 'Cache-Control', 'Retry-After', 'Preference-Applied'];

export const getJob: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.get(
    '/jobs/:id',
    {
      config: { scope: 'jobs:read', doc: { errors: ['not_found'], headers: { 200: OF_A_JOB, 304: OF_A_JOB } } },
      schema: {
        operationId: 'getJob',
        tags: ['jobs'],
        summary: 'The job, to poll',
        description:
          'With `If-None-Match` an unchanged job is 304. `Prefer: wait=N` (up to 60 seconds) answers when the status is another ' +
          'than the one that the ETag in `If-None-Match` stands for (or than at the time of the request), or the job has ended. ' +
          'It is 401 within seconds when the key is revoked or expires meanwhile. ' +
          '`Retry-After` tells when asking again is worth it.',
        params: Type.Object({ id: Type.String() }),
        headers: Type.Object({
          'if-none-match': Type.Optional(Type.String({ description: 'the last ETag: 304 when nothing changed' })),
          prefer: Type.Optional(Type.String({ description: '`wait=N`, seconds, 60 at most' })),
        }),
        response: { 200: JobSchema, 304: Type.Null({ description: 'nothing changed' }) },
      },
    },
    async (request, reply) => {
      const { database } = deps;
      const teamId = teamOf(request);
      const { id } = request.params;
      const condition = request.headers['if-none-match'];
      const seconds = readWait(request.headers.prefer);
      if (condition !== undefined && seconds === 0) {
        const brief = await database.jobs.brief(teamId, id);
        if (brief === null) throw notFound('job');
        const place = await placeOf(database, brief);
        const etag = jobEtag(brief, place);
        if (matches(condition, etag)) return describe(reply, brief, place, etag).code(304).send(null);
      }
      let job = await database.jobs.get(teamId, id);
      if (job === null) throw notFound('job');
      if (seconds > 0) {
        const seen = statusSeen(condition) ?? job.status;
        const { keyId } = callerFrom(request);
        if (!isFinished(job) && job.status === seen) job = await settled(deps, { job, keyId, seen, seconds }, reply);
        if (job === null) throw notFound('job');
        reply.header('Preference-Applied', `wait=${seconds}`);
      }
      const place = await placeOf(database, job);
      const etag = jobEtag(job, place);
      describe(reply, job, place, etag);
      if (matches(condition, etag)) return reply.code(304).send(null);
      return reply.code(200).send(await viewJob(database, job, place));
    },
  );
};
