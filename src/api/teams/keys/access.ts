import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Scope } from '../../../database/records.js';
import type { Database } from '../../../database/repositories.js';
import { InputError } from '../../../errors/index.js';
import { notFound } from '../../problem.js';
import { isAdmin, TeamId, teamInPath } from '../access.js';

export const teamParams = Type.Object({ id: TeamId });
export const keyParams = Type.Object({ id: TeamId, key_id: Type.String() });

/**
 * The team that the path names.
 * @throws InputError not_found
 */
export async function existingTeam(teams: Database['teams'], request: FastifyRequest, id: string): Promise<string> {
  const teamId = teamInPath(request, id);
  if ((await teams.get(teamId)) === null) throw notFound('team');
  return teamId;
}

/** Admins of a team manage its keys, but neither make nor end those of the service's admins. */
export function refuseAdminKey(request: FastifyRequest, scopes: Scope[]): void {
  if (!scopes.includes('admin') || isAdmin(request)) return;
  throw new InputError('forbidden', 'a key with the scope admin is only for keys with the scope admin');
}
