import { randomUUID } from 'node:crypto';
import type { DatabaseContext } from '../connection/context.js';
import { readEnded } from '../jobs/webhook-outbox.js';
import type { WebhookRepository } from '../repositories.js';
import type { ClaimedDelivery } from './records.js';

/** Messages of one team that may be on their way at once: an endpoint that hangs does not hold up other teams. */
const TEAM_IN_FLIGHT = 8;

interface ClaimedRow extends Omit<ClaimedDelivery, 'ended' | 'token'> {
  payload: string;
}

export function claim({ prisma }: DatabaseContext): WebhookRepository['claim'] {
  return async (limit, leaseSeconds) => {
    const token = randomUUID();
    // The outer condition is looked at again after waiting for another claim of the same row.
    const rows = await prisma.$queryRaw<ClaimedRow[]>`
      with claimed as (
        update webhook_deliveries d set claim_token = ${token},
          lease_until = clock_timestamp() + make_interval(secs => ${leaseSeconds})
        where d.state = 'pending' and d.next_at <= clock_timestamp()
          and (d.lease_until is null or d.lease_until < clock_timestamp())
          and d.id in (
            select due.id from (select id from teams) team cross join lateral (
              select id, next_at from webhook_deliveries o
              where o.team_id = team.id and o.state = 'pending' and o.next_at <= clock_timestamp()
                and (o.lease_until is null or o.lease_until < clock_timestamp())
              order by next_at
              limit greatest(0, ${TEAM_IN_FLIGHT} - (
                select count(*)::int from webhook_deliveries f
                where f.team_id = team.id and f.state = 'pending' and f.lease_until > clock_timestamp()))
            ) due order by due.next_at limit ${limit})
        returning d.*
      )
      select id, team_id as "teamId", job_id as "jobId", url, type, created_at as "createdAt", payload, tries,
        array(select secret from webhook_secrets s where s.team_id = claimed.team_id
              and (s.expires_at is null or s.expires_at > clock_timestamp()) order by s.created_at desc) as secrets
      from claimed order by next_at`;
    return rows.map(({ payload, ...row }) => ({ ...row, token, ended: readEnded(payload) }));
  };
}
