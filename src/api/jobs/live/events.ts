import type { SSEMessage } from '@fastify/sse';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type, type Static } from 'typebox';
import type { EventRecord, JobRecord } from '../../../database/records.js';
import { InputError } from '../../../errors/index.js';
import type { RouteDeps, RouteOptions } from '../../deps.js';
import { prefers } from '../../negotiate.js';
import { callerFrom, teamOf } from '../../plugins/auth.js';
import { notFound } from '../../problem.js';
import { Limit, page, PageOf, Time } from '../../schemas.js';
import { isFinished } from '../read.js';
import { stillGood } from '../still-good.js';
import { answerHead, clientGone, watch } from './watch.js';

const EventSchema = Type.Object(
  {
    id: Type.String({ description: 'ascending: the cursor, and the Last-Event-ID' }),
    job_id: Type.String(),
    type: Type.String(),
    data: Type.Record(Type.String(), Type.Unknown()),
    created_at: Time,
  },
  { $id: 'Event' },
);

/** One event of a stream; the fields that are not JSON repeat what is in it. */
const EVENT_STREAM = {
  'text/event-stream': {
    schema: {
      type: 'string',
      description: 'server-sent events; `data` of each is an Event, `id` and `event` are its id and type',
    },
    example:
      'id: 7\nevent: job.progress\ndata: {"id":"7","job_id":"job_1","type":"job.progress","data":{},"created_at":"2026-01-31T12:00:00.000Z"}\n\n',
  },
};

const STREAM_PAGE = 100;
const LOOK_AGAIN_MS = 5_000;

const present = (event: EventRecord): Static<typeof EventSchema> => ({
  id: String(event.id),
  job_id: event.jobId,
  type: event.type,
  data: event.data,
  created_at: event.createdAt.toISOString(),
});

function readCursor(given: string | undefined, pointer: string): number {
  if (given === undefined || given === '') return 0;
  if (/^\d{1,15}$/.test(given)) return Number(given);
  const detail = 'must be the id of an event';
  throw new InputError('invalid_request', `${pointer} ${detail}`, { faults: [{ pointer, detail }] });
}

/** Events above `after` as they come; ends with the job, the client, the server, or the key that it was opened with. */
async function* follow(
  { database }: RouteDeps,
  { job, keyId, after, signal }: { job: JobRecord; keyId: string; after: number; signal: AbortSignal },
): AsyncGenerator<SSEMessage> {
  const isGood = stillGood(database.keys, keyId);
  const changes = watch(database.notifications, job.id, signal);
  try {
    for (let cursor = after; !signal.aborted;) {
      if (!(await isGood())) return;
      // The job is read first: when it had ended by then, its last event is in what is read next.
      const current = await database.jobs.get(job.teamId, job.id);
      const events = await database.events.list(job.teamId, job.id, { after: cursor, limit: STREAM_PAGE });
      for (const event of events?.data ?? []) {
        cursor = event.id;
        yield { id: String(event.id), event: event.type, data: present(event) };
      }
      if (events?.hasMore === true) continue;
      if (current === null || events === null || isFinished(current)) return;
      await changes.next(LOOK_AGAIN_MS);
    }
  } finally {
    changes.stop();
  }
}

export const jobEvents: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { streams } = deps;
  app.get(
    '/jobs/:id/events',
    {
      config: { scope: 'jobs:read', doc: { errors: ['not_found'], streams: { 200: EVENT_STREAM } } },
      sse: 'dual',
      schema: {
        operationId: 'listJobEvents',
        tags: ['jobs'],
        summary: 'What happened, oldest first; live with Accept: text/event-stream',
        description:
          'The stream goes on after `Last-Event-ID` and closes when the job has ended, or within seconds when its key is revoked or expires.',
        params: Type.Object({ id: Type.String() }),
        querystring: Type.Object(
          { limit: Limit, after: Type.Optional(Type.String()) },
          { additionalProperties: false },
        ),
        headers: Type.Object({
          'last-event-id': Type.Optional(
            Type.String({ description: 'the last id that a stream brought: goes on after it' }),
          ),
        }),
        response: {
          200: PageOf(EventSchema, 'EventPage'),
          204: Type.Null({
            description: 'the job has ended and there is nothing after Last-Event-ID: do not reconnect',
          }),
        },
      },
    },
    async (request, reply) => {
      const teamId = teamOf(request);
      const { id } = request.params;
      const after = readCursor(request.query.after, '#query/after');
      // Absent where `Accept` does not name it.
      const stream = reply.sse as typeof reply.sse | undefined;
      if (stream === undefined || !prefers(request, 'text/event-stream', 'application/json')) {
        const events = await deps.database.events.list(teamId, id, { limit: request.query.limit, after });
        if (events === null) throw notFound('job');
        return reply.code(200).send(page(events.data, events.hasMore, present, (event) => String(event.id)));
      }
      const job = await deps.database.jobs.get(teamId, id);
      if (job === null) throw notFound('job');
      const last = request.headers['last-event-id']?.toString();
      const from = last === undefined ? after : readCursor(last, '#header/last-event-id');
      if (last !== undefined && isFinished(job)) {
        const rest = await deps.database.events.list(teamId, id, { after: from, limit: 1 });
        // An EventSource reconnects by itself whenever a stream ends; only 204 tells it to stop.
        if (rest?.data.length === 0) return reply.code(204).send(null);
      }
      if (request.method === 'HEAD') return answerHead(reply);
      const { keyId } = callerFrom(request);
      const over = streams.add(keyId);
      try {
        stream.sendHeaders();
        const signal = AbortSignal.any([deps.closing, clientGone(reply)]);
        await stream.send(follow(deps, { job, keyId, after: from, signal }));
      } finally {
        over();
      }
      // Before returning: Fastify takes a returned reply as "wait until it has ended".
      stream.close();
      return reply;
    },
  );
};
