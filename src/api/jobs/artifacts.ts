import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { basename } from 'node:path';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { ArtifactRecord } from '../../database/records.js';
import { InfrastructureError, InputError, SparankError } from '../../errors/index.js';
import { isStored } from '../../storage/is-stored.js';
import type { Storage } from '../../storage/storage.js';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';
import { formatReprDigest } from '../uploads/digest.js';
import type { AnswerHeader } from '../openapi/headers.js';
import { matches } from './etag.js';
import { rangeApplies, readRange } from './range.js';
import { ArtifactSchema, presentArtifact } from './schema.js';

const PRESIGNED_SECONDS = 300;

const Bytes = { content: { 'application/octet-stream': { schema: Type.String({ format: 'binary' }) } } };
const OF_A_FILE: readonly AnswerHeader[] = ['ETag', 'Last-Modified', 'Cache-Control', 'Content-Disposition'];
const Empty = (description: string) => Type.Null({ description });

/** Streams the file, a range of it, or a redirect to where it is. */
async function sendArtifact(storage: Storage, artifact: ArtifactRecord, request: FastifyRequest, reply: FastifyReply) {
  const { name, key, bytes, sha256, contentType } = artifact;
  const etag = `"${sha256}"`;
  const modified = artifact.createdAt.toUTCString();
  const unchanged = matches(request.headers['if-none-match'], etag);
  // Also before a redirect: a client cannot do anything with what the store says about a file that it does not have.
  if (!unchanged && !(await isStored(storage, artifact))) throw lost(name);
  reply
    .header('ETag', etag)
    .header('Last-Modified', modified)
    .header('Accept-Ranges', 'bytes')
    .header('Cache-Control', 'private, no-cache')
    .header('Content-Disposition', `attachment; filename="${name.replaceAll(/[^\w.-]/g, '_')}"`);
  if (unchanged) return reply.code(304).send();
  if (request.method !== 'HEAD') {
    const url = await storage.presign(key, { filename: name, contentType, expiresInSeconds: PRESIGNED_SECONDS });
    if (url !== null) return reply.redirect(url, 302);
  }
  reply.header('Repr-Digest', formatReprDigest(sha256)).type(contentType);
  if (request.method === 'HEAD') return reply.header('Content-Length', bytes).send();
  const applies = rangeApplies(request.headers['if-range']?.toString(), etag, modified);
  const range = readRange(applies ? request.headers.range : undefined, bytes);
  if (range === 'unsatisfiable') {
    reply.header('Content-Range', `bytes */${bytes}`);
    throw new InputError('range_not_satisfiable', `the file has ${bytes} bytes`);
  }
  if (range === null) return reply.header('Content-Length', bytes).send(await opened(storage, key, reply));
  return reply
    .code(206)
    .header('Content-Range', `bytes ${range.start}-${range.end}/${bytes}`)
    .header('Content-Length', range.end - range.start + 1)
    .send(await opened(storage, key, reply, range));
}

const lost = (name: string) =>
  new InfrastructureError('gone', `${name} was made, and is not stored any more; submit the job again for another one`);

/** The file as a stream that ends with the answer: a client that left while it was opened would leave it open. */
async function opened(storage: Storage, key: string, reply: FastifyReply, range?: { start: number; end: number }) {
  const body = await storage.get(key, range).catch((error: unknown) => {
    throw error instanceof SparankError && error.code === 'not_found' ? lost(basename(key)) : error;
  });
  if (reply.raw.destroyed) body.destroy();
  else reply.raw.once('close', () => body.destroy());
  return body;
}

export const jobArtifacts: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { database, storage } = deps;

  app.get(
    '/jobs/:id/artifacts',
    {
      config: { scope: 'jobs:read', doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'listArtifacts',
        tags: ['jobs'],
        summary: 'The files that the job made',
        params: Type.Object({ id: Type.String() }),
        response: { 200: Type.Object({ data: Type.Array(ArtifactSchema) }) },
      },
    },
    async (request) => {
      const { id } = request.params;
      const artifacts = await database.artifacts.list(teamOf(request), id);
      if (artifacts === null) throw notFound('job');
      return { data: artifacts.map((artifact) => presentArtifact(id, artifact)) };
    },
  );

  app.route({
    // HEAD has a handler of its own here: the automatic one would read the file to its end.
    method: ['GET', 'HEAD'],
    url: '/jobs/:id/artifacts/:name',
    exposeHeadRoute: false,
    config: {
      scope: 'jobs:read',
      doc: {
        errors: ['not_found', 'gone', 'range_not_satisfiable'],
        headers: {
          200: [...OF_A_FILE, 'Accept-Ranges', 'Repr-Digest'],
          206: [...OF_A_FILE, 'Content-Range', 'Repr-Digest'],
          302: [...OF_A_FILE, 'Location'],
          304: OF_A_FILE,
        },
      },
    },
    schema: {
      operationId: 'downloadArtifact',
      tags: ['jobs'],
      summary: 'Download; with Range, If-Range and If-None-Match',
      description: 'On S3 the answer is a redirect to a presigned URL.',
      params: Type.Object({ id: Type.String(), name: Type.String() }),
      headers: Type.Object({
        range: Type.Optional(Type.String({ description: 'one range of bytes: `bytes=0-1023`' })),
        'if-range': Type.Optional(
          Type.String({ description: 'ETag or Last-Modified: the range of this content, or the whole' }),
        ),
        'if-none-match': Type.Optional(Type.String({ description: 'the last ETag: 304 when nothing changed' })),
      }),
      response: {
        200: { description: 'the file', ...Bytes },
        206: { description: 'a part of it', ...Bytes },
        302: Empty('to the presigned URL'),
        304: Empty('nothing changed'),
      },
    },
    handler: async (request, reply) => {
      const { id, name } = request.params;
      const artifact = await database.artifacts.get(teamOf(request), id, name);
      if (artifact === null) throw notFound('artifact');
      return sendArtifact(storage, artifact, request, reply);
    },
  });
};
