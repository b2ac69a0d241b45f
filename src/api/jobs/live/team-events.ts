import type { SSEMessage } from '@fastify/sse';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type, type Static } from 'typebox';
import type { JobFilter } from '../../../database/records.js';
import type { RouteDeps, RouteOptions } from '../../deps.js';
import { prefers } from '../../negotiate.js';
import { callerFrom, teamOf } from '../../plugins/auth.js';
import { requestFault } from '../../problem.js';
import { ChoiceSchema, LIST_PARAMETERS, readChoice } from '../filter.js';
import { changesSince, JobFeed, type Change } from './feed.js';
import { stillGood } from '../still-good.js';
import { answerHead, clientGone } from './watch.js';

/** A stream looks so often whether its key is good, with or without changes. */
const CHECK_KEY_MS = 1_000;

type Choice = Pick<JobFilter, 'labels' | 'status' | 'text'>;

const STREAM = {
  'text/event-stream': {
    schema: {
      type: 'string',
      description: 'server-sent events: `job` with a JobRow as `data`, `removed` with `{"id"}`; `id` is where to go on',
    },
    example: 'id: 1769860800000\nevent: removed\ndata: {"id":"job_5h2k9m3q7r1t4v8w0x6y"}\n\n',
  },
};

const DESCRIPTION =
  'A job is told as it is when it is told: of changes that follow each other closely the last one. It begins with what changes from ' +
  'then on, or with `Last-Event-ID` with what changed since; removals are told to those who listen. Open it, then read the list. A ' +
  'job that was told is told again when its status is not among those asked for any more. It ends when its key is revoked or expires.';

const headers = Type.Object({
  'last-event-id': Type.Optional(Type.String({ description: 'the last id that a stream brought: goes on after it' })),
});

function readSince(request: FastifyRequest): number | null {
  const given = request.headers['last-event-id']?.toString();
  if (given === undefined || given === '') return null;
  if (/^\d{1,15}$/.test(given)) return Number(given);
  throw requestFault('#header/last-event-id', 'must be the id of an event');
}

/** Whether a stream tells of a job, which depends on whether it has done so before. */
function chooser({ labels = {}, status, text }: Choice): (change: Change) => boolean {
  const told = new Set<string>();
  const wanted = text?.toLowerCase();
  return ({ jobId, row }) => {
    if (row === null) return status === undefined || told.delete(jobId);
    if (Object.entries(labels).some(([key, value]) => row.labels[key] !== value)) return false;
    const texts = [row.id, row.model, ...Object.values(row.labels)];
    if (wanted !== undefined && !texts.some((one) => one.toLowerCase().includes(wanted))) return false;
    if (status === undefined) return true;
    if (!status.includes(row.status)) return told.delete(jobId);
    told.add(jobId);
    return true;
  };
}

interface Following {
  feed: JobFeed;
  teamId: string | null;
  choice: Choice;
  since: number | null;
  keyId: string;
  signal: AbortSignal;
}

/** Of a job that changes faster than the client reads, it gets the last state. */
async function* follow(deps: RouteDeps, following: Following): AsyncGenerator<SSEMessage> {
  const { feed, teamId, choice, since, keyId, signal } = following;
  const isGood = stillGood(deps.database.keys, keyId);
  const isWanted = chooser(choice);
  const waiting = new Map<string, Change>();
  let wake: (() => void) | null = null;
  const woken = () => wake?.();
  const stop = feed.follow((change) => {
    if (!isWanted(change)) return;
    waiting.delete(change.jobId);
    waiting.set(change.jobId, change);
    woken();
  });
  signal.addEventListener('abort', woken);
  const message = ({ at, event, data }: Change): SSEMessage => ({ id: String(at), event, data });
  try {
    if (since !== null)
      for await (const change of changesSince(deps.database, teamId, since)) {
        if (signal.aborted) return;
        if (isWanted(change)) yield message(change);
      }
    while (!signal.aborted && (await isGood())) {
      for (const [jobId, change] of waiting) {
        waiting.delete(jobId);
        yield message(change);
      }
      if (waiting.size > 0 || signal.aborted) continue;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, CHECK_KEY_MS);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      wake = null;
    }
  } finally {
    stop();
    signal.removeEventListener('abort', woken);
  }
}

export const teamEvents: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const feeds = new Map<string | null, JobFeed>();
  const onError = (error: unknown) => app.log.warn({ err: error }, 'changes of jobs could not be read');
  function feedOf(teamId: string | null): JobFeed {
    const feed = feeds.get(teamId) ?? new JobFeed(deps.database, teamId, deps.closing, onError);
    feeds.set(teamId, feed);
    return feed;
  }

  async function stream(
    request: FastifyRequest,
    reply: FastifyReply,
    { teamId, query }: { teamId: string | null; query: Static<typeof ChoiceSchema> },
  ) {
    // Absent where `Accept` does not name it.
    const sse = reply.sse as typeof reply.sse | undefined;
    if (sse === undefined || !prefers(request, 'text/event-stream', 'application/json'))
      throw requestFault('#header/accept', 'must be text/event-stream; GET /jobs has the list');
    const [choice, since] = [readChoice(query), readSince(request)];
    if (request.method === 'HEAD') return answerHead(reply);
    const { keyId } = callerFrom(request);
    const over = deps.streams.add(keyId);
    try {
      sse.sendHeaders();
      // Its client waits for them before it reads the list; the first event may be far away.
      reply.raw.flushHeaders();
      const signal = AbortSignal.any([deps.closing, clientGone(reply)]);
      await sse.send(follow(deps, { feed: feedOf(teamId), teamId, choice, since, keyId, signal }));
    } finally {
      over();
    }
    // Before returning: Fastify takes a returned reply as "wait until it has ended".
    sse.close();
    return reply;
  }

  const sse = { kind: 'dual', serializer: (data: unknown) => String(data) } as const;
  const labels = { additionalProperties: false, patternProperties: { '^label\\.': {} } };
  const response = { 200: { description: 'the stream', content: STREAM } };
  const shared = { tags: ['jobs'], description: DESCRIPTION, headers, response };

  app.get(
    '/jobs/events',
    {
      config: { scope: 'jobs:read', doc: { parameters: LIST_PARAMETERS } },
      sse,
      schema: {
        ...shared,
        operationId: 'followJobs',
        summary: 'All jobs of the team as they change, live (Accept: text/event-stream)',
        querystring: Type.Object(ChoiceSchema.properties, labels),
      },
    },
    async (request, reply) => stream(request, reply, { teamId: teamOf(request), query: request.query }),
  );

  app.get(
    '/admin/jobs/events',
    {
      config: { scope: 'admin', doc: { parameters: LIST_PARAMETERS } },
      sse,
      schema: {
        ...shared,
        tags: ['admin'],
        operationId: 'adminFollowJobs',
        summary: 'Jobs of all teams, or of one, as they change, live (Accept: text/event-stream)',
        querystring: Type.Object(
          { ...ChoiceSchema.properties, team: Type.Optional(Type.String({ description: "only this team's jobs" })) },
          labels,
        ),
      },
    },
    async (request, reply) => {
      const { team, ...query } = request.query;
      return stream(request, reply, { teamId: team ?? null, query });
    },
  );
};
