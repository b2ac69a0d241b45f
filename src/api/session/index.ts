import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type, type Static } from 'typebox';
import { SCOPES, type UsableKey } from '../../database/records.js';
import type { RouteOptions } from '../deps.js';
import { callerFrom, hashKey, NOT_VALID } from '../plugins/auth.js';
import { actorOf } from '../plugins/actor.js';
import { refuseForeign } from '../plugins/same-origin.js';
import { endedCookie, openSession, PAGE_SESSION, sessionCookie } from '../plugins/session.js';
import { Nullable, Time } from '../schemas.js';

const BODY_BYTES = 2048;

const SessionSchema = Type.Object(
  {
    object: Type.Literal('session'),
    team: Type.Object({ id: Type.String(), name: Type.String() }),
    key: Type.Object({
      id: Type.String(),
      prefix: Type.String({ description: 'first characters of the key' }),
      scopes: Type.Array(Type.Enum([...SCOPES])),
    }),
    expires_at: Nullable(Time),
    version: Type.String({ description: 'of the service' }),
  },
  { $id: 'Session' },
);

/** What the dashboard logs in by: a key for a cookie that no script can read. */
export const sessionRoutes: FastifyPluginAsyncTypebox<RouteOptions & { version: string }> = async (
  app,
  { deps, version },
) => {
  async function view(
    key: Pick<UsableKey, 'id' | 'prefix' | 'teamId' | 'scopes'>,
    until: Date | null,
  ): Promise<Static<typeof SessionSchema>> {
    const team = await deps.database.teams.get(key.teamId);
    return {
      object: 'session',
      team: { id: key.teamId, name: team?.name ?? key.teamId },
      key: { id: key.id, prefix: key.prefix, scopes: key.scopes },
      expires_at: until?.toISOString() ?? null,
      version,
    };
  }
  const opened = (request: FastifyRequest, reply: Pick<FastifyReply, 'header'>, key: { id: string; hash: string }) => {
    reply.header('Set-Cookie', sessionCookie(request, PAGE_SESSION, key));
    return new Date(Date.now() + PAGE_SESSION.seconds * 1000);
  };
  app.addHook('onSend', async (_request, reply) => void reply.header('Cache-Control', 'no-store'));

  app.post(
    '/session',
    {
      config: { scope: 'public', doc: { errors: ['unauthorized', 'forbidden'], headers: { 201: ['Set-Cookie'] } } },
      bodyLimit: BODY_BYTES,
      schema: {
        operationId: 'logIn',
        tags: ['service'],
        summary: 'Log a browser in: the answer sets a cookie that stands for the key',
        description:
          'HttpOnly, SameSite=Strict, and good until it is over or the key is revoked. With it, calls that change something ' +
          'must come from a page of this origin.',
        security: [],
        body: Type.Object({ key: Type.String({ maxLength: 512 }) }, { additionalProperties: false }),
        response: { 201: SessionSchema },
      },
    },
    async (request, reply) => {
      refuseForeign(request);
      const key = await deps.keyLookup.byHash(request, hashKey(request.body.key.trim()));
      if (key === null) {
        request.log.warn('a login to the dashboard was refused');
        throw await deps.keyLookup.refusal(request, NOT_VALID);
      }
      if (key.scopes.includes('admin'))
        await deps.database.audit.note(
          { action: 'dashboard.login', teamId: null, subject: key.id },
          { keyId: key.id, keyPrefix: key.prefix, teamId: key.teamId, requestId: request.id, address: request.ip },
        );
      return reply.code(201).send(await view(key, opened(request, reply, key)));
    },
  );

  app.get(
    '/session',
    {
      config: { scope: SCOPES, doc: { headers: { 200: ['Set-Cookie'] } } },
      schema: {
        operationId: 'getSession',
        tags: ['service'],
        summary: 'Who calls: team, scopes, and until when; a cookie of which half is over is renewed',
        response: { 200: SessionSchema },
      },
    },
    async (request, reply) => {
      const { keyId, keyPrefix } = actorOf(request);
      const { scopes, teamId } = callerFrom(request);
      const caller = { id: keyId, prefix: keyPrefix, teamId, scopes };
      const session =
        request.headers.authorization === undefined ? await openSession(request, PAGE_SESSION, deps.keyLookup) : null;
      if (session === null) return view(caller, null);
      const left = session.until.getTime() - Date.now();
      return view(caller, left < PAGE_SESSION.seconds * 500 ? opened(request, reply, session.key) : session.until);
    },
  );

  app.delete(
    '/session',
    {
      config: { scope: 'public', doc: { errors: ['forbidden'], headers: { 204: ['Set-Cookie'] } } },
      schema: {
        operationId: 'logOut',
        tags: ['service'],
        summary: 'Log the browser out',
        security: [],
        response: { 204: Type.Null({ description: 'the cookie is gone' }) },
      },
    },
    async (request, reply) => {
      refuseForeign(request);
      return reply.header('Set-Cookie', endedCookie(request, PAGE_SESSION)).code(204).send(null);
    },
  );
};
