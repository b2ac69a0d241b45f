import type { FastifyRequest } from 'fastify';
import type { Actor } from '../../database/records.js';
import { callerFrom } from './auth.js';

/** Who calls, for the audit log. */
export function actorOf(request: FastifyRequest): Actor {
  const { keyId, keyPrefix, teamId } = callerFrom(request);
  return { keyId, keyPrefix, teamId, requestId: request.id, address: request.ip };
}
