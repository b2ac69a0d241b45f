import type { FastifyRequest } from 'fastify';
import { unsupported } from './problem.js';

/**
 * Nothing is unpacked on the way in: a body of a few bytes could stand for gigabytes, and a hash or a Content-Length
 * would mean the packed ones. Said before the body is read, which would be called broken JSON, or no ONNX file.
 *
 * @throws {InputError} unsupported_media_type
 */
export function refuseEncoded(request: FastifyRequest): void {
  const encoding = request.headers['content-encoding']?.trim().toLowerCase();
  if (encoding === undefined || encoding === '' || encoding === 'identity') return;
  throw unsupported(
    '#header/content-encoding',
    `a body is taken as it is: unpack it (gzip -d), and send no Content-Encoding: ${encoding}`,
  );
}
