import { Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { InfrastructureError, InputError } from '../../errors/index.js';
import { isStored } from '../../storage/is-stored.js';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound, requestFault, unsupported } from '../problem.js';
import { bodyIsCheckedByHandler } from '../validation.js';
import { formatReprDigest, readReprDigest } from './digest.js';
import { keepUpload } from './keep.js';
import { requestBody } from './request-body.js';
import { tooLarge } from './room.js';
import { Filename, presentUpload, UploadSchema } from './schema.js';

const BY_HASH = /^sha256:([0-9a-f]{64})$/;

function refuseForm(request: FastifyRequest): void {
  if (!/^multipart\//i.test(request.headers['content-type'] ?? '')) return;
  throw unsupported('#header/content-type', 'send the file itself as the body; POST /jobs takes multipart/form-data');
}

export const uploadRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  // Every body stays a stream: curl --data-binary calls it a form, others JSON, and all mean the bytes.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request, _payload, done) => done(null, requestBody(request.raw)));

  async function receive<T>(request: FastifyRequest, body: Readable, keep: (teamId: string) => Promise<T>): Promise<T> {
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
      const upload = await receive(request, body, async (teamId) =>
        keepUpload(deps, teamId, { body, filename: request.query.filename ?? 'upload.bin', verify }),
      );
      return reply.code(201).header('Location', `/uploads/${upload.id}`).send(presentUpload(upload));
    },
  );

  app.get(
    '/uploads/:id',
    {
      config: {
        scope: 'jobs:read',
        doc: { errors: ['not_found', 'gone'], headers: { 200: ['Content-Location', 'Repr-Digest'] } },
      },
      schema: {
        operationId: 'getUpload',
        tags: ['uploads'],
        summary: 'An upload, by its id or as sha256:<hex>; HEAD tells whether it need not be sent again',
        description:
          'Content that the storage has lost is 410 by its id and 404 as sha256:<hex>, until it is sent again.',
        params: Type.Object({ id: Type.String() }),
        response: { 200: UploadSchema },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const hash = BY_HASH.exec(id)?.[1];
      const { uploads } = deps.database;
      const upload = await (hash === undefined
        ? uploads.get(teamOf(request), id)
        : uploads.findByHash(teamOf(request), hash));
      if (upload === null) throw notFound('upload');
      if (!(await isStored(deps.storage, upload))) {
        // Whoever asks by content wants to know whether to send it.
        if (hash !== undefined) throw notFound('upload');
        throw new InfrastructureError('gone', 'the content of this upload was lost; send the file again');
      }
      return reply
        .header('Content-Location', `/uploads/${upload.id}`)
        .header('Repr-Digest', formatReprDigest(upload.sha256))
        .send(presentUpload(upload));
    },
  );

  app.delete(
    '/uploads/:id',
    {
      config: { scope: 'jobs:write', doc: { errors: ['not_found', 'conflict'] } },
      schema: {
        operationId: 'deleteUpload',
        tags: ['uploads'],
        summary: 'Remove an upload; 409 while a job that has not ended reads it',
        description: 'A job that has ended keeps its artifacts, but cannot be tried again without its uploads.',
        params: Type.Object({ id: Type.String() }),
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const removed = await deps.database.uploads.remove(teamOf(request), request.params.id);
      if (removed === null) throw notFound('upload');
      // Nobody can find it any more; what cannot be deleted now is left to the janitor.
      await deps.storage
        .delete(removed.key)
        .catch((error: unknown) => request.log.warn({ err: error, key: removed.key }, 'a file was left'));
      return reply.code(204).send(null);
    },
  );
};
