import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { InputError } from '../../../errors/index.js';
import { actorOf } from '../../plugins/actor.js';
import type { RouteOptions } from '../../deps.js';
import { newKey, visiblePrefix } from '../../new-key.js';
import { hashKey } from '../../plugins/auth.js';
import { readTime } from '../../validation.js';
import { MadeKeySchema, NewKeySchema, presentKey } from '../schema.js';
import { existingTeam, refuseAdminKey, teamParams } from './access.js';

export const createKey: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { keys, teams } = deps.database;

  app.post(
    '/teams/:id/keys',
    {
      config: {
        scope: ['admin', 'team:admin'],
        doc: { errors: ['not_found'], headers: { 201: ['Location', 'Cache-Control'] } },
      },
      schema: {
        operationId: 'createKey',
        tags: ['teams'],
        summary: 'Make a key; the answer is the only place that shows it',
        params: teamParams,
        body: NewKeySchema,
        response: { 201: MadeKeySchema },
      },
    },
    async (request, reply) => {
      const { name, scopes, expires_at } = request.body;
      refuseAdminKey(request, scopes);
      const teamId = await existingTeam(teams, request, request.params.id);
      const key = newKey();
      const made = await keys.create(
        teamId,
        { hash: hashKey(key), prefix: visiblePrefix(key), name, scopes, expiresAt: readExpiry(expires_at) },
        actorOf(request),
      );
      return reply
        .code(201)
        .header('Location', `/teams/${teamId}/keys/${made.id}`)
        .header('Cache-Control', 'no-store')
        .send({ ...presentKey(made), key });
    },
  );
};

function readExpiry(given: string | null | undefined): Date | null {
  if (given === undefined || given === null) return null;
  const time = readTime(given, '/expires_at');
  if (time.getTime() > Date.now()) return time;
  const detail = 'must be in the future';
  throw new InputError('invalid_request', `/expires_at ${detail}`, { faults: [{ pointer: '/expires_at', detail }] });
}
