import type { FastifyRequest } from 'fastify';
import Negotiator from 'negotiator';

/**
 * Whether the client would rather have `type` than `usual` (RFC 9110, section 12.5.1): `type;q=0` is a refusal, not a
 * wish.
 */
export const prefers = ({ raw }: FastifyRequest, type: string, usual: string): boolean =>
  new Negotiator(raw).mediaType([usual, type]) === type;
