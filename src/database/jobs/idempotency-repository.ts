import type { DatabaseContext } from '../connection/context.js';
import { newId } from '../connection/ids.js';
import type { IdempotencyRepository } from '../repositories.js';
import { withQuickTries } from '../connection/transient-errors.js';

/** A request that gave no sign of life for this long is taken to be dead. */
const IN_FLIGHT_SECONDS = 15;
const KEPT_HOURS = 24;

interface Row {
  bodyHash: string;
  token: string;
  statusCode: number | null;
  response: unknown;
  jobId: string | null;
}

/**
 * Taking a key and noting its answer need not wait for the disk. What makes the job comes after the one and does, and
 * what is on the disk is there in the order of the commits: with the job there is its key. A lost answer is made again
 * from the job.
 */
const FORGETTABLE = `set_config('synchronous_commit', 'off', true)`;

export const idempotencyRepository = ({ prisma, prepared }: DatabaseContext): IdempotencyRepository => ({
  begin(teamId, key, bodyHash) {
    const token = newId('idm');
    return withQuickTries(async () => {
      // One statement decides who is in charge: a new key, one whose request died, or one whose time is over.
      const [row] = await prepared<Row>(
        'take an idempotency key',
        `with mine as (
          insert into idempotency_keys as held (team_id, key, body_hash, token, in_flight_until)
          select $1, $2, $3, $4, clock_timestamp() + make_interval(secs => ${IN_FLIGHT_SECONDS}) from ${FORGETTABLE}
          on conflict (team_id, key) do update set
            token = excluded.token, in_flight_until = excluded.in_flight_until, body_hash = excluded.body_hash,
            status_code = null, response = null, created_at = excluded.created_at,
            job_id = case when held.created_at < clock_timestamp() - make_interval(hours => ${KEPT_HOURS}) then null else held.job_id end
          where held.created_at < clock_timestamp() - make_interval(hours => ${KEPT_HOURS})
            or (held.status_code is null and held.in_flight_until < clock_timestamp() and held.body_hash = excluded.body_hash)
          returning body_hash, token, status_code, response, job_id
        )
        select body_hash as "bodyHash", token, status_code as "statusCode", response, job_id as "jobId" from mine
        union all
        select body_hash, token, status_code, response, job_id from idempotency_keys
        where team_id = $1 and key = $2 and not exists (select from mine)`,
        [teamId, key, bodyHash, token],
      );
      // Deleted between the two halves of the statement: the other request gave the key up just now.
      if (row === undefined) return { state: 'in_flight' };
      if (row.bodyHash !== bodyHash) return { state: 'mismatch' };
      if (row.statusCode !== null) return { state: 'replay', statusCode: row.statusCode, response: row.response };
      // Whoever made the job may have died before the answer: there is nothing to wait for.
      if (row.jobId !== null) return { state: 'created', jobId: row.jobId, token };
      return row.token === token ? { state: 'started', token } : { state: 'in_flight' };
    });
  },

  async hold(teamId, key, token) {
    await prisma.$executeRaw`
      update idempotency_keys set in_flight_until = clock_timestamp() + make_interval(secs => ${IN_FLIGHT_SECONDS})
      where team_id = ${teamId} and key = ${key} and token = ${token} and status_code is null`;
  },

  async finish(teamId, key, token, { statusCode, response }) {
    const stored = await prepared(
      'note an answer',
      `update idempotency_keys set status_code = $4, response = $5::jsonb from ${FORGETTABLE}
      where team_id = $1 and key = $2 and token = $3 returning true`,
      [teamId, key, token, statusCode, JSON.stringify(response)],
    );
    return stored.length === 1;
  },

  async abandon(teamId, key, token) {
    await prisma.idempotencyKey.deleteMany({ where: { teamId, key, token, statusCode: null, jobId: null } });
  },
});
