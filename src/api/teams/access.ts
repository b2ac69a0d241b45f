import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { callerFrom } from '../plugins/auth.js';
import { notFound } from '../problem.js';

/** Stands for the key's own team in a path. */
export const SELF = 'self';

/** In a path. */
export const TeamId = Type.String({ description: "a team's id, or `self` for the key's own team" });

export const isAdmin = (request: FastifyRequest): boolean => callerFrom(request).scopes.includes('admin');

/**
 * The team that the path names: any for an admin, else the key's own.
 * @throws InputError not_found, as for a team that does not exist
 */
export function teamInPath(request: FastifyRequest, id: string): string {
  const { teamId } = callerFrom(request);
  if (id === SELF || id === teamId) return teamId;
  if (isAdmin(request)) return id;
  throw notFound('team');
}
