import { randomUUID } from 'node:crypto';
import type { Assignment } from '../../jobs/tasks.js';
import type { DatabaseContext } from '../connection/context.js';
import type { PoolRepository } from '../repositories.js';
import { withQuickTries } from '../connection/transient-errors.js';

export function claim({ prepared, announce, settings }: DatabaseContext): PoolRepository['claim'] {
  return (taskId, attempt, workerId, onDraining) => {
    // A try whose commit was not answered must find its own claim again, and a second message of the same attempt must
    // not.
    const token = randomUUID();
    return withQuickTries(async () => {
      const [row] = await prepared<{ assignment: Assignment | null; draining: boolean }>(
        'claim',
        // Should PostgreSQL crash before it is on the disk, the task is released still, and the fence refuses what this
        // attempt makes.
        `select sparank_claim_task($1, $2, $3, $4, $5) as assignment,
           exists (select from workers where id = $3 and draining_since is not null) as draining
         from set_config('synchronous_commit', 'off', true) as forgettable, set_config('sparank.quiet', 'on', true) as quiet`,
        [taskId, attempt, workerId, token, settings.LEASE_SECONDS],
      );
      const assignment = row?.assignment ?? null;
      if (assignment !== null) announce(assignment.jobId, `team:${assignment.teamId}`);
      else if (row?.draining) {
        // The task waits again.
        announce('tasks');
        onDraining?.();
      }
      return assignment;
    });
  };
}
