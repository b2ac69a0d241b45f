import { Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { InputError } from '../../errors/index.js';
import type { RouteDeps, RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { requestFault, unsupported } from '../problem.js';
import { bodyIsCheckedByHandler } from '../validation.js';
import { readReprDigest } from './digest.js';
import { keepUpload } from './keep.js';
import { tooLarge } from './room.js';
import { Filename, presentUpload, UploadSchema } from './schema.js';

export const createUpload: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.post(
    '/uploads',
    {
      config: {
        scope: 'jobs:write',
        doc: { errors: ['digest_mismatch', 'limit_exceeded'], headers: { 201: ['Location'] } },
      },
      // It is a stream.
      validatorCompiler: bodyIsCheckedByHandler,
      bodyLimit: deps.config.MAX_UPLOAD_BYTES,
      schema: {
        operationId: 'createUpload',
        tags: ['uploads'],
        summary: 'Send a file: the raw body, hashed while it streams to storage',
        description:
          'The same content of a team is stored once. `Repr-Digest: sha-256=:...:` is verified when it is sent.',
        body: { content: { 'application/octet-stream': { schema: Type.String({ format: 'binary' }) } } },
        headers: Type.Object({
          'repr-digest': Type.Optional(
            Type.String({ description: '`sha-256=:<base64>:` of the body, which is held against it' }),
          ),
        }),
        querystring: Type.Object({ filename: Type.Optional(Filename) }, { additionalProperties: false }),
        response: { 201: UploadSchema },
      },
      // Before a byte of the body is read.
      onRequest: async (request) => {
        refuseForm(request);
        if (Number(request.headers['content-length'] ?? 0) > deps.config.MAX_UPLOAD_BYTES) throw tooLarge(deps.config);
      },
    },
    async (request, reply) => {
      const announced = readReprDigest(request.headers['repr-digest']?.toString());
      const { body } = request as { body: unknown };
      if (!(body instanceof Readable)) throw requestFault('#body', 'is empty');
      const verify = (sha256: string) => {
        if (announced === null || announced === sha256) return;
        const detail = `Repr-Digest announces sha-256 ${announced}, the body has ${sha256}`;
        throw new InputError('digest_mismatch', detail, { faults: [{ pointer: '#header/repr-digest', detail }] });
      };
      const upload = await receive(deps, request, body, async (teamId) =>
        keepUpload(deps, teamId, { body, filename: request.query.filename ?? 'upload.bin', verify }),
      );
      return reply.code(201).header('Location', `/uploads/${upload.id}`).send(presentUpload(upload));
    },
  );
};

function refuseForm(request: FastifyRequest): void {
  if (!/^multipart\//i.test(request.headers['content-type'] ?? '')) return;
  throw unsupported('#header/content-type', 'send the file itself as the body; POST /jobs takes multipart/form-data');
}

/** Counted against the team's requests that bring files while it lasts. */
async function receive<T>(
  deps: RouteDeps,
  request: FastifyRequest,
  body: Readable,
  keep: (teamId: string) => Promise<T>,
): Promise<T> {
  const teamId = teamOf(request);
  let over: () => void;
  try {
    over = deps.incoming.add(teamId);
  } catch (error) {
    body.destroy();
    throw error;
  }
  return keep(teamId).finally(over);
}
