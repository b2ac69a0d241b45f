import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type, type Static } from 'typebox';
import { DELIVERY_STATES, type DeliveryAttempt, type DeliveryRecord } from '../../database/records.js';
import { InputError } from '../../errors/index.js';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';
import { Limit, Nullable, PageOf, Time } from '../schemas.js';
import { newSecret } from '../../outbound/webhook-signature.js';

/** How long a secret that was rotated out goes on to sign beside the new one. */
const OVERLAP_SECONDS = 24 * 3600;

const SecretInfo = Type.Object(
  {
    created_at: Time,
    previous_valid_until: Nullable(Time),
  },
  { $id: 'WebhookSecret' },
);

const DeliverySchema = Type.Object(
  {
    id: Type.String({ description: 'the `webhook-id`, the same at every attempt' }),
    object: Type.Literal('webhook_delivery'),
    job_id: Type.String(),
    url: Type.String(),
    type: Type.String(),
    state: Type.Enum([...DELIVERY_STATES], {
      description: 'failed: given up after the last attempt; disabled: the endpoint said 410 Gone',
    }),
    attempts: Type.Integer(),
    next_attempt_at: Nullable(Time),
    created_at: Time,
    finished_at: Nullable(Time),
  },
  { $id: 'WebhookDelivery' },
);

const AttemptSchema = Type.Object({
  at: Time,
  status: Nullable(Type.Integer()),
  error: Nullable(Type.String()),
  duration_ms: Type.Integer(),
  snippet: Nullable(Type.String({ description: 'the beginning of the answer' })),
});

const presentDelivery = (delivery: DeliveryRecord): Static<typeof DeliverySchema> => ({
  id: delivery.id,
  object: 'webhook_delivery',
  job_id: delivery.jobId,
  url: delivery.url,
  type: delivery.type,
  state: delivery.state,
  attempts: delivery.attempts,
  next_attempt_at: delivery.nextAt?.toISOString() ?? null,
  created_at: delivery.createdAt.toISOString(),
  finished_at: delivery.finishedAt?.toISOString() ?? null,
});

const presentAttempt = (attempt: DeliveryAttempt): Static<typeof AttemptSchema> => ({
  at: attempt.at.toISOString(),
  status: attempt.status,
  error: attempt.error,
  duration_ms: attempt.durationMs,
  snippet: attempt.snippet,
});

const tags = ['webhooks'];
const params = Type.Object({ id: Type.String() });

export const webhookRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { webhooks } = deps.database;

  app.get(
    '/webhooks/secret',
    {
      config: { scope: 'jobs:read', doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'getWebhookSecret',
        tags,
        summary: "The team's signing secret: since when; never the secret itself",
        response: { 200: SecretInfo },
      },
    },
    async (request) => {
      const info = await webhooks.secretInfo(teamOf(request));
      if (info === null) throw notFound('signing secret: make one with POST /webhooks/secret');
      return {
        created_at: info.createdAt.toISOString(),
        previous_valid_until: info.previousUntil?.toISOString() ?? null,
      };
    },
  );

  app.post(
    '/webhooks/secret',
    {
      config: { scope: 'jobs:write', doc: { headers: { 201: ['Cache-Control'] } } },
      schema: {
        operationId: 'rotateWebhookSecret',
        tags,
        summary: "Make or rotate the team's signing secret; it is shown this once",
        description: 'Messages are signed with the old one as well for a day.',
        response: { 201: Type.Object({ secret: Type.String({ description: 'whsec_…' }) }) },
      },
    },
    async (request, reply) => {
      const secret = newSecret();
      await webhooks.rotateSecret(teamOf(request), secret, OVERLAP_SECONDS);
      return reply.code(201).header('Cache-Control', 'no-store').send({ secret });
    },
  );

  app.get(
    '/webhooks/deliveries',
    {
      config: { scope: 'jobs:read' },
      schema: {
        operationId: 'listDeliveries',
        tags,
        summary: 'Messages about ended jobs, newest first',
        querystring: Type.Object(
          {
            limit: Limit,
            after: Type.Optional(Type.String({ description: '`next` of the page before' })),
            job_id: Type.Optional(Type.String()),
            state: Type.Optional(Type.Enum([...DELIVERY_STATES])),
          },
          { additionalProperties: false },
        ),
        response: { 200: PageOf(DeliverySchema, 'WebhookDeliveryPage') },
      },
    },
    async (request) => {
      const { limit, after, job_id, state } = request.query;
      const found = await webhooks.list(teamOf(request), {
        limit,
        ...(after === undefined ? {} : { after }),
        ...(job_id === undefined ? {} : { jobId: job_id }),
        ...(state === undefined ? {} : { state }),
      });
      if (found === null) {
        const detail = 'the message that the cursor names is not there (any more)';
        throw new InputError('invalid_request', detail, { faults: [{ pointer: '#query/after', detail }] });
      }
      const data = found.data.map(presentDelivery);
      return { data, has_more: found.hasMore, next: found.hasMore ? (data.at(-1)?.id ?? null) : null };
    },
  );

  app.get(
    '/webhooks/deliveries/:id',
    {
      config: { scope: 'jobs:read', doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'getDelivery',
        tags,
        summary: 'One message with the log of its attempts, oldest first',
        params,
        response: {
          200: Type.Object({ ...DeliverySchema.properties, log: Type.Array(AttemptSchema) }),
        },
      },
    },
    async (request) => {
      const found = await webhooks.get(teamOf(request), request.params.id);
      if (found === null) throw notFound('webhook delivery');
      return { ...presentDelivery(found.delivery), log: found.log.map(presentAttempt) };
    },
  );

  app.post(
    '/webhooks/deliveries/:id/replay',
    {
      config: { scope: 'jobs:write', doc: { errors: ['not_found', 'conflict'] } },
      schema: {
        operationId: 'replayDelivery',
        tags,
        summary: 'Send a message again, now, with the same id and body; its schedule starts anew',
        params,
        response: { 202: DeliverySchema },
      },
    },
    async (request, reply) => {
      const delivery = await webhooks.replay(teamOf(request), request.params.id);
      if (delivery === null) throw notFound('webhook delivery');
      return reply.code(202).send(presentDelivery(delivery));
    },
  );

  app.get(
    '/webhooks/disabled-endpoints',
    {
      config: { scope: 'jobs:read' },
      schema: {
        operationId: 'listDisabledEndpoints',
        tags,
        summary: 'Endpoints that said 410 Gone: they are sent nothing',
        response: {
          200: Type.Object({ data: Type.Array(Type.Object({ url: Type.String(), disabled_at: Time })) }),
        },
      },
    },
    async (request) => {
      const disabled = await webhooks.disabledEndpoints(teamOf(request));
      return { data: disabled.map(({ url, disabledAt }) => ({ url, disabled_at: disabledAt.toISOString() })) };
    },
  );

  app.post(
    '/webhooks/enable-endpoint',
    {
      config: { scope: 'jobs:write', doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'enableEndpoint',
        tags,
        summary: 'Send to a disabled endpoint again; what it missed can be replayed',
        body: Type.Object({ url: Type.String({ maxLength: 2048 }) }, { additionalProperties: false }),
        response: { 204: Type.Null({ description: 'enabled' }) },
      },
    },
    async (request, reply) => {
      if (!(await webhooks.enableEndpoint(teamOf(request), request.body.url))) throw notFound('disabled endpoint');
      return reply.code(204).send(null);
    },
  );
};
