import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';
import { Nullable, Time } from '../schemas.js';
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

export const webhookSecret: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { webhooks } = deps.database;

  app.get(
    '/webhooks/secret',
    {
      config: { scope: 'jobs:read', doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'getWebhookSecret',
        tags: ['webhooks'],
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
        tags: ['webhooks'],
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
};
