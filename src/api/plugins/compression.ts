import compress from '@fastify/compress';
import type { FastifyInstance } from 'fastify';

/** Below, the headers weigh more than what is saved. */
const LEAST_BYTES = 1024;

/**
 * Answers of the described calls that read. Not files: those have ranges and digests, and models do not shrink. Nor
 * what streams events. Nothing is unpacked on the way in (see content-encoding.ts).
 */
export async function registerCompression(app: FastifyInstance): Promise<void> {
  app.addHook('onRoute', (route) => {
    if (route.method === 'GET' && route.schema?.operationId !== undefined) route.compress ??= {};
  });
  await app.register(compress, {
    globalCompression: false,
    globalDecompression: false,
    threshold: LEAST_BYTES,
    encodings: ['br', 'gzip', 'deflate'],
    customTypes: /^(application\/(problem\+)?json|text\/(csv|plain))(;|$)/,
  });
}
