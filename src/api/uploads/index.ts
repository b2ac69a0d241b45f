import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { RouteOptions } from '../deps.js';
import { createUpload } from './create.js';
import { deleteUpload } from './delete.js';
import { getUpload } from './get.js';
import { requestBody } from './request-body.js';

export const uploadRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, options) => {
  // Every body stays a stream: curl --data-binary calls it a form, others JSON, and all mean the bytes.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request, _payload, done) => done(null, requestBody(request.raw)));
  for (const route of [createUpload, getUpload, deleteUpload]) await app.register(route, options);
};
