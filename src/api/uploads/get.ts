import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { InfrastructureError } from '../../errors/index.js';
import { isStored } from '../../storage/is-stored.js';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';
import { formatReprDigest } from './digest.js';
import { presentUpload, UploadSchema } from './schema.js';

const BY_HASH = /^sha256:([0-9a-f]{64})$/;

export const getUpload: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
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
};
