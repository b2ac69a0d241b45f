import { InputError } from '../../errors/index.js';
import { beyondLimit } from '../../errors/team-limit.js';
import type { RouteDeps } from '../deps.js';

/** A team that has room is not asked again for so long; what jobs add is not known before they end anyway. */
const HAS_ROOM_MS = 1_000;

const DELETE = 'delete uploads, or jobs with their artifacts';

export function tooLarge(config: RouteDeps['config']): InputError {
  const detail = `a file may have MAX_UPLOAD_BYTES = ${config.MAX_UPLOAD_BYTES} bytes`;
  return new InputError('payload_too_large', detail, { faults: [{ pointer: '#body', detail }] });
}

/**
 * How large a file may be that a team sends now, beside `taken` bytes that are not yet recorded; and the error for one
 * that is larger.
 */
export async function roomFor({ config, database }: RouteDeps, teamId: string, taken = 0) {
  // Content that the team has already takes no room, and is no larger than the largest that it has.
  const { left, largest } = await database.teams.storageRoom(teamId);
  const maxBytes = Math.min(config.MAX_UPLOAD_BYTES, Math.max(left - taken, largest, 1));
  const refusal = () =>
    maxBytes < config.MAX_UPLOAD_BYTES
      ? beyondLimit(
          'storage_bytes',
          `the team may store ${Math.max(0, left - taken)} more bytes, and the file has more; ${DELETE}`,
        )
      : tooLarge(config);
  return { maxBytes, refusal };
}

/**
 * Refuses new jobs of a team whose uploads and artifacts have used up its storage: the artifacts of its next job have
 * no room.
 * @throws {InputError} limit_exceeded
 */
export function refuseWithoutRoom({ database }: Pick<RouteDeps, 'database'>): (teamId: string) => Promise<void> {
  const fine = new Map<string, number>();
  return async (teamId) => {
    if (performance.now() < (fine.get(teamId) ?? 0)) return;
    const { left } = await database.teams.storageRoom(teamId);
    if (left <= 0) {
      fine.delete(teamId);
      throw beyondLimit('storage_bytes', `the team has no room left for the artifacts of a job; ${DELETE}`);
    }
    fine.set(teamId, performance.now() + HAS_ROOM_MS);
  };
}
